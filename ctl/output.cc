#include "ctl/output.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "ctl/format.h"

namespace p2p::ctl {
namespace {

size_t TerminalColumns() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

}  // namespace

bool OutputIsTerminal() { return isatty(STDOUT_FILENO) == 1; }

void Print(absl::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

void PrintLine(absl::string_view line) { Print(absl::StrCat(line, "\n")); }

void ShowLive(absl::string_view line) {
  // Back to the first column, and clear to the end of the line.
  Print(absl::StrCat("\r\x1b[K", CutToColumns(line, TerminalColumns() - 1)));
}

void Complain(absl::string_view reason) {
  const std::string line = absl::StrCat("p2pctl: ", reason, "\n");
  std::fwrite(line.data(), 1, line.size(), stderr);
}

bool OutputIsGood() { return std::fflush(stdout) == 0 && std::ferror(stdout) == 0; }

}  // namespace p2p::ctl
