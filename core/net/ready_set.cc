#include "core/net/ready_set.h"

#include <array>
#include <cerrno>
#include <utility>

#include "asio/posix/stream_descriptor.hpp"
#include "asio/post.hpp"

#if defined(__linux__) && !defined(P2P_PORTABLE)
#define P2P_LINUX_EPOLL 1
#include <sys/epoll.h>
#else
#include <poll.h>
#include <unistd.h>

#include "absl/container/flat_hash_map.h"
#endif

namespace p2p::net {

#ifdef P2P_LINUX_EPOLL

namespace {

// Members served, and questions to the kernel, before the other handlers of the loop have their
// turn.
constexpr int kEventsPerQuestion = 128;
constexpr int kQuestionsPerTurn = 4;

epoll_event EventOf(ReadySet::Member* member, bool read, bool write) {
  epoll_event event = {};
  event.events = (read ? uint32_t{EPOLLIN} : 0) | (write ? uint32_t{EPOLLOUT} : 0);
  event.data.ptr = member;
  return event;
}

}  // namespace

// An epoll set in that of the loop: the loop's own costs half a kilobyte for each descriptor and a
// system call for each wait.
struct ReadySet::Impl : std::enable_shared_from_this<ReadySet::Impl> {
  explicit Impl(EventLoop* loop)
      : set(loop->context()), own(loop->context(), epoll_create1(EPOLL_CLOEXEC)) {}

  void Wait() {
    own.async_wait(asio::posix::stream_descriptor::wait_read,
                   [self = shared_from_this()](const asio::error_code& error) {
                     if (!error && !self->ended) self->Turn();
                   });
  }

  void Turn() {
    for (int i = 0; i < kQuestionsPerTurn; ++i) {
      std::array<epoll_event, kEventsPerQuestion> events;
      const int count = epoll_wait(own.native_handle(), events.data(), kEventsPerQuestion, 0);
      for (int at = 0; at < count; ++at) {
        const uint32_t what = events[at].events;
        static_cast<Member*>(events[at].data.ptr)
            ->OnReady((what & EPOLLIN) != 0, (what & EPOLLOUT) != 0,
                      (what & (EPOLLERR | EPOLLHUP)) != 0);
      }
      // Some less than there was room for are all.
      if (count < kEventsPerQuestion) return Wait();
    }
    asio::post(set, [self = shared_from_this()] {
      if (!self->ended) self->Turn();
    });
  }

  asio::io_context& set;
  asio::posix::stream_descriptor own;
  bool ended = false;
};

ReadySet::ReadySet(EventLoop* loop) : impl_(std::make_shared<Impl>(loop)) {
  loop->Post([impl = impl_] {
    if (!impl->ended) impl->Wait();
  });
}

ReadySet::~ReadySet() {
  impl_->ended = true;
  asio::error_code ignored;
  impl_->own.close(ignored);
}

bool ReadySet::Add(int fd, Member* member, bool read, bool write) {
  epoll_event event = EventOf(member, read, write);
  return epoll_ctl(impl_->own.native_handle(), EPOLL_CTL_ADD, fd, &event) == 0;
}

void ReadySet::Change(int fd, Member* member, bool read, bool write) {
  epoll_event event = EventOf(member, read, write);
  (void)epoll_ctl(impl_->own.native_handle(), EPOLL_CTL_MOD, fd, &event);
}

void ReadySet::Remove(int fd) {
  (void)epoll_ctl(impl_->own.native_handle(), EPOLL_CTL_DEL, fd, nullptr);
}

#else

// The loop waits for each descriptor; one wait for each kind is under way at most.
struct ReadySet::Impl : std::enable_shared_from_this<ReadySet::Impl> {
  struct Entry : std::enable_shared_from_this<Entry> {
    Entry(EventLoop* loop, int fd, Member* its_member)
        : descriptor(loop->context(), fd), member(its_member) {}

    void Follow() {
      using Descriptor = asio::posix::stream_descriptor;
      if (read && !reading) {
        reading = true;
        descriptor.async_wait(Descriptor::wait_read,
                              [self = shared_from_this()](const asio::error_code&) {
                                self->reading = false;
                                self->Ready(self->read, false, false);
                              });
      }
      if (write && !writing) {
        writing = true;
        descriptor.async_wait(Descriptor::wait_write,
                              [self = shared_from_this()](const asio::error_code&) {
                                self->writing = false;
                                self->Ready(false, self->write, false);
                              });
      }
      if (!failing) {
        failing = true;
        descriptor.async_wait(Descriptor::wait_error,
                              [self = shared_from_this()](const asio::error_code&) {
                                if (!self->removed) self->Ready(false, false, self->HasFailed());
                              });
      }
    }
    // Urgent data ends a wait for errors too.
    bool HasFailed() {
      pollfd one = {descriptor.native_handle(), 0, 0};
      return poll(&one, 1, 0) == 1 && (one.revents & (POLLERR | POLLHUP)) != 0;
    }
    void Ready(bool readable, bool writable, bool failed) {
      if (!removed && (readable || writable || failed)) member->OnReady(readable, writable, failed);
      if (!removed) Follow();
    }

    asio::posix::stream_descriptor descriptor;
    Member* const member;
    bool read = false, write = false;
    bool reading = false, writing = false, failing = false;
    bool removed = false;
  };

  explicit Impl(EventLoop* its_loop) : loop(its_loop) {}

  EventLoop* const loop;
  absl::flat_hash_map<int, std::shared_ptr<Entry> > entries;
};

ReadySet::ReadySet(EventLoop* loop) : impl_(std::make_shared<Impl>(loop)) {}

ReadySet::~ReadySet() = default;

bool ReadySet::Add(int fd, Member* member, bool read, bool write) {
  impl_->entries[fd] = std::make_shared<Impl::Entry>(impl_->loop, fd, member);
  Change(fd, member, read, write);
  return true;
}

void ReadySet::Change(int fd, Member*, bool read, bool write) {
  Impl::Entry& entry = *impl_->entries[fd];
  entry.read = read;
  entry.write = write;
  entry.Follow();
}

void ReadySet::Remove(int fd) {
  const auto entry = impl_->entries.find(fd);
  if (entry == impl_->entries.end()) return;
  entry->second->removed = true;
  entry->second->descriptor.release();
  impl_->entries.erase(entry);
}

#endif

}  // namespace p2p::net
