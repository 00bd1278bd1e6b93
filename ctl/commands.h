// The table of p2pctl's commands, and what they share. Each command has a file of its own,
// cmd_NAME.cc.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ctl/client.h"
#include "ctl/command_line.h"
#include "proto/control.pb.h"

namespace p2p::ctl {

// In the order in which help lists them.
const std::vector<Command>& Commands();

int RunShare(const Session& session, const Arguments& arguments);
int RunGet(const Session& session, const Arguments& arguments);
int RunList(const Session& session, const Arguments& arguments);
int RunStatus(const Session& session, const Arguments& arguments);
int RunPeers(const Session& session, const Arguments& arguments);
int RunWatch(const Session& session, const Arguments& arguments);
int RunPause(const Session& session, const Arguments& arguments);
int RunResume(const Session& session, const Arguments& arguments);
int RunRemove(const Session& session, const Arguments& arguments);
int RunVerify(const Session& session, const Arguments& arguments);
int RunStop(const Session& session, const Arguments& arguments);
int RunVersion(const Session& session, const Arguments& arguments);
int RunHelp(const Session& session, const Arguments& arguments);

// Help on one command, or on all of them; `command` may be null.
std::string HelpText(const Command* command);

// A `string` field takes UTF-8 only: said here in the user's words, `what` being "the name".
absl::Status CheckUtf8(absl::string_view what, const std::string& text);

// Says why `transfer` ended with an error, and returns the exit code.
int FailTransfer(const v1::Transfer& transfer);

// For commands that change a transfer and are done: what they did ("paused") and to which, or the
// object.
int PrintChanged(const Session& session, absl::string_view did, const v1::Transfer& transfer);

}  // namespace p2p::ctl
