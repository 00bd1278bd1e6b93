// The bytes of a connection, as they are or in TLS. Never waits; belongs to its loop's thread.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace p2p::tracker {

class ByteStream {
 public:
  virtual ~ByteStream() = default;
  // How many bytes were read or written; 0: none at this moment. An error, also at the end of the
  // stream, is the last result.
  virtual absl::StatusOr<size_t> Read(absl::Span<char> buffer) = 0;
  virtual absl::StatusOr<size_t> Write(absl::string_view bytes) = 0;
  // After a Write of 0: it can go on when the socket takes bytes; else after a Read.
  virtual bool WaitsForRoom() const = 0;
};

// `fd` is a connected, non-blocking socket, which must outlive the stream.
std::unique_ptr<ByteStream> MakePlainStream(int fd);

struct TlsOptions {
  std::string host;     // whom the certificate must be for
  std::string ca_file;  // PEM, of who may have signed it; "": those that the system trusts
};
// The side that dialled. The first Read or Write begins the handshake. An error is about ca_file.
absl::StatusOr<std::unique_ptr<ByteStream>> MakeTlsStream(int fd, const TlsOptions& options);

}  // namespace p2p::tracker
