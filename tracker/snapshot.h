// The registrations of a tracker in a file, so that a restarted tracker has them back. A snapshot
// is written aside, synced and renamed: there is always the former or the new one. It has a version
// and checksums; what is not whole and right to the last bit is not used at all.
//
// The file: "P2PTRKR1", then blocks of <length: 4 bytes><payload><SHA-256 of the block's number, 8
// bytes, and of the payload>, numbers in little-endian. The payload is registrations, one after
// another (snapshot.cc); an empty one is the last block. Any thread; one call at a time.
#pragma once

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tracker/registry.h"

namespace p2p::tracker {

// Moments of `now` are the registry's; the file has those of the wall clock, so that what ran out
// while there was no tracker is left out when it is read.
struct SnapshotTime {
  absl::Time now;
  absl::Time wall;
};

// How many registrations were written. The registry is used meanwhile (Registry::Visit). An error
// is a sentence with `path`; the former snapshot is then as it was.
absl::StatusOr<size_t> SaveSnapshot(const std::string& path, const SnapshotTime& time,
                                    const Registry& registry);

// How many registrations were added. NotFound: there is no such file. DataLoss: it is no snapshot
// or is damaged, and nothing was added.
absl::StatusOr<size_t> LoadSnapshot(const std::string& path, const SnapshotTime& time,
                                    Registry* registry);

}  // namespace p2p::tracker
