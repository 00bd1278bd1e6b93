// A directory of its own for one test, removed with all that is in it.
#pragma once

#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "gtest/gtest.h"

namespace p2p::testing_support {

class TempDir {
 public:
  TempDir() : TempDir(::testing::TempDir()) {}
  // On a file system in memory where there is one: for tests whose many syncs would take long.
  static TempDir InMemory() {
    return TempDir(::access("/dev/shm", W_OK) == 0 ? "/dev/shm/" : ::testing::TempDir());
  }
  explicit TempDir(const std::string& beneath) {
    std::string pattern = beneath + "p2p-test-XXXXXX";
    const char* const made = ::mkdtemp(&pattern[0]);
    EXPECT_NE(made, nullptr) << pattern;
    path_ = pattern;
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline void WriteFile(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

inline std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

inline bool IsThere(const std::string& path) {
  return std::filesystem::exists(std::filesystem::symlink_status(path));
}

}  // namespace p2p::testing_support
