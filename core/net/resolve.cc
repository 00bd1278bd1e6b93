// Resolve: name service calls may block for half a minute and cannot be cancelled. Each has a
// detached thread, so that neither another name nor the end of the program waits for it.
#include <netdb.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <system_error>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/base/text.h"
#include "core/net/address.h"
#include "core/net/socket.h"

namespace p2p::net {
namespace {

using Endpoints = absl::StatusOr<std::vector<Endpoint>>;

absl::Status LookupError(int code, int error_number, absl::string_view host) {
  const std::string what = absl::StrCat("cannot look up \"", Printable(host), "\"");
  switch (code) {
    case EAI_NONAME:
#ifdef EAI_NODATA
    case EAI_NODATA:
#endif
      return absl::NotFoundError(absl::StrCat(what, ": there is no such host"));
    case EAI_AGAIN:
      return absl::UnavailableError(absl::StrCat(what, ": the name service does not answer"));
    case EAI_SYSTEM:
      return ErrnoStatus(error_number, what);
    default:
      return absl::UnavailableError(absl::StrCat(what, ": ", gai_strerror(code)));
  }
}

Endpoints LookUp(const HostPort& host_port) {
  addrinfo hints = {};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const int code = getaddrinfo(host_port.host.c_str(), nullptr, &hints, &list);
  if (code != 0) return LookupError(code, errno, host_port.host);
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(list, freeaddrinfo);
  std::vector<Endpoint> endpoints;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    Endpoint endpoint = EndpointOf(*entry->ai_addr, entry->ai_addrlen);
    endpoint.port(host_port.port);
    endpoints.push_back(endpoint);
  }
  return endpoints;
}

absl::StatusOr<Endpoint> Literal(const HostPort& host_port) {
  const bool is_ipv6 = host_port.host.find(':') != std::string::npos;
  return ParseEndpoint(is_ipv6 ? absl::StrCat("[", host_port.host, "]:", host_port.port)
                               : absl::StrCat(host_port.host, ":", host_port.port));
}

}  // namespace

void Resolve(EventLoop* loop, const HostPort& host_port, std::function<void(Endpoints)> done) {
  if (const absl::StatusOr<Endpoint> literal = Literal(host_port); literal.ok()) {
    loop->Post(
        [done = std::move(done), endpoint = *literal] { done(std::vector<Endpoint>{endpoint}); });
    return;
  }
  // The thread may outlive the loop and all else, so it holds values only; `done` is moved on, so
  // that what it holds is destroyed on the loop.
  auto task = [post = loop->MakeWeakPoster(), host_port, done]() mutable {
    post([done = std::move(done), endpoints = LookUp(host_port)] { done(endpoints); });
  };
  try {
    std::thread(std::move(task)).detach();
  } catch (const std::system_error&) {
    loop->Post([done = std::move(done)] { done(ErrnoStatus(EAGAIN, "cannot start a thread")); });
  }
}

}  // namespace p2p::net
