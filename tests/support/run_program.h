// Runs another program and keeps what it prints. For tests; one thread.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace p2p::testing_support {

class Program {
 public:
  // `words`: the program's path, then its arguments. `environment`: "NAME=VALUE", and nothing else
  // is set.
  Program(std::vector<std::string> words, std::vector<std::string> environment = {}) {
    int out[2];
    int err[2];
    EXPECT_EQ(pipe2(out, O_CLOEXEC), 0);
    EXPECT_EQ(pipe2(err, O_CLOEXEC), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, err[1], STDERR_FILENO);
    const std::vector<char*> argv = Pointers(&words);
    const std::vector<char*> envp = Pointers(&environment);
    EXPECT_EQ(posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), envp.data()), 0)
        << words[0];
    posix_spawn_file_actions_destroy(&actions);
    close(out[1]);
    close(err[1]);
    out_fd_ = out[0];
    err_fd_ = err[0];
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  ~Program() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    close(out_fd_);
    close(err_fd_);
  }

  void Signal(int number) { kill(pid_, number); }
  // Reads until stdout holds `text`; false at its end or after `kPatienceMs` of silence.
  bool AwaitOutput(const std::string& text) {
    while (out_.find(text) == std::string::npos) {
      if (!ReadSome()) return false;
    }
    return true;
  }
  // The exit code, or 128 + the number of the signal that ended it. -1: it does not end.
  int Wait() {
    while (ReadSome()) {
    }
    if (!out_ended_ || !err_ended_) return -1;
    int status = 0;
    if (waitpid(pid_, &status, 0) != pid_) return -1;
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  const std::string& out() const { return out_; }
  const std::string& err() const { return err_; }

 private:
  static constexpr int kPatienceMs = 20'000;

  static std::vector<char*> Pointers(std::vector<std::string>* words) {
    std::vector<char*> out;
    for (std::string& word : *words) out.push_back(&word[0]);
    out.push_back(nullptr);
    return out;
  }

  static void Read(int fd, std::string* into, bool* ended) {
    char buffer[4096];
    const ssize_t got = read(fd, buffer, sizeof buffer);
    *ended = got <= 0;
    if (got > 0) into->append(buffer, static_cast<size_t>(got));
  }

  // False when both have ended or nothing came for long.
  bool ReadSome() {
    // A negative descriptor is skipped.
    pollfd waits[] = {{out_ended_ ? -1 : out_fd_, POLLIN, 0},
                      {err_ended_ ? -1 : err_fd_, POLLIN, 0}};
    if ((out_ended_ && err_ended_) || poll(waits, 2, kPatienceMs) <= 0) return false;
    if (waits[0].revents != 0) Read(out_fd_, &out_, &out_ended_);
    if (waits[1].revents != 0) Read(err_fd_, &err_, &err_ended_);
    return true;
  }

  pid_t pid_ = -1;
  int out_fd_ = -1;
  int err_fd_ = -1;
  bool out_ended_ = false;
  bool err_ended_ = false;
  std::string out_;
  std::string err_;
};

}  // namespace p2p::testing_support
