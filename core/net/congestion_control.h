// Which TCP congestion control a connection gets. Any thread.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace p2p::net {

// Choices besides the kernel's own names:
//  auto    BBR on paths with a round trip of 2 ms and more, where this process may use it: it does
//          not take a lost packet for a full link (1 % loss at 60 ms: 150 Mbit/s where CUBIC has
//          4). On shorter ones the system's, or CUBIC or Reno where that is BBR: its pacing costs
//          a quarter of what a fast local transfer needs of the processor.
//  system  the system's, untouched
inline constexpr char kCongestionAuto[] = "auto";
inline constexpr char kCongestionSystem[] = "system";

// InvalidArgument when it can be no such choice at all.
absl::Status CheckCongestionName(absl::string_view choice);
// FailedPrecondition, with the names that it may use, when this process may not use the choice.
absl::Status CheckCongestionControl(const std::string& choice);
// What the choice comes to on this system, for people: "bbr from 2 ms on, cubic below".
std::string DescribeCongestionControl(const std::string& choice);

// For a socket before it connects or listens: not BBR yet, whatever the system's default. A socket
// that began with BBR is paced for life, also when it is given another one later.
void PostponeBbr(int fd);
// Sets the choice for a connected socket that began so. Does nothing where the system refuses.
void ApplyCongestionControl(int fd, const std::string& choice);

}  // namespace p2p::net
