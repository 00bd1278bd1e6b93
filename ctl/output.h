// stdout of p2pctl: whole lines, and on a terminal one live line that is written over. One thread.
#pragma once

#include "absl/strings/string_view.h"

namespace p2p::ctl {

bool OutputIsTerminal();

// `text` as it is, and flushed: a script that reads along sees it at once.
void Print(absl::string_view text);
void PrintLine(absl::string_view line);

// Writes over the live line, cut to the terminal's width; "" removes it.
void ShowLive(absl::string_view line);

// "p2pctl: REASON" on stderr.
void Complain(absl::string_view reason);

// False when something could not be written (a full disk, a closed pipe).
bool OutputIsGood();

}  // namespace p2p::ctl
