// Opening and renaming beneath a held directory: no name, link or race leads out of it. Any thread.
// Every function returns 0 or an errno.
#pragma once

#include <sys/types.h>

#include "absl/strings/string_view.h"
#include "daemon/store/posix_io.h"

namespace p2p::store {

// Whether `name` is a relative path of plain components: no empty one, no "." or "..", no NUL.
bool StaysBeneath(absl::string_view name);

// Opens `name` beneath `root` with O_CLOEXEC and O_NOFOLLOW added to `flags`. EXDEV when the name
// does not StaysBeneath(); ELOOP or ENOTDIR when a symbolic link is in the way. One openat2 call
// where the system has it, the function below where not.
int OpenBeneath(int root, absl::string_view name, int flags, mode_t mode, Descriptor* out);
// The same, component by component.
int OpenBeneathByComponents(int root, absl::string_view name, int flags, mode_t mode,
                            Descriptor* out);

// Renames a single component within or between directories; EEXIST rather than replace anything.
int RenameWithoutReplacing(int from_directory, const char* from, int to_directory, const char* to);
// The same without renameat2. A file is linked and unlinked, which replaces nothing either; for a
// directory, and where the file system has no links, the name is looked up first, which leaves a
// small gap.
int RenameByLink(int from_directory, const char* from, int to_directory, const char* to);

}  // namespace p2p::store
