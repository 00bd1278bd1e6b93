// What --json prints: the fields promised to scripts, in their order, on one line. Pure; any
// thread.
#pragma once

#include <string>

#include "nlohmann/json.hpp"
#include "proto/control.pb.h"

namespace p2p::ctl {

using Json = nlohmann::ordered_json;

Json ToJson(const v1::Transfer& transfer);
Json ToJson(const v1::Peer& peer);
Json ToJson(const v1::Daemon& daemon);

// One line without its end. ASCII only, so that no name can do anything to a terminal; bytes that
// are not UTF-8 become U+FFFD.
std::string JsonLine(const Json& json);

}  // namespace p2p::ctl
