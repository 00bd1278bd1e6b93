// Waits for many sockets at once, at no memory of its own for one that is not ready. Belongs to its
// loop's thread.
#pragma once

#include <memory>

#include "core/net/event_loop.h"

namespace p2p::net {

class ReadySet {
 public:
  class Member {
   public:
    virtual ~Member() = default;
    // What was asked for is there: one read or write will not block, or tells an error. `failed`
    // comes unasked: the connection is broken, or both its sides have ended.
    virtual void OnReady(bool readable, bool writable, bool failed) = 0;
  };

  explicit ReadySet(EventLoop* loop);
  ~ReadySet();
  ReadySet(const ReadySet&) = delete;
  ReadySet& operator=(const ReadySet&) = delete;

  // False when the system has no memory for it.
  bool Add(int fd, Member* member, bool read, bool write);
  void Change(int fd, Member* member, bool read, bool write);
  // Before the descriptor is closed. A member may live on in the running turn of the set: it is to
  // be destroyed from a later task of the loop, and to ignore calls until then.
  void Remove(int fd);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace p2p::net
