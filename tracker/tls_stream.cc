#include <arpa/inet.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/text.h"
#include "tracker/byte_stream.h"

namespace p2p::tracker {
namespace {

// What one record holds: a Write that has to be repeated is never larger.
constexpr size_t kMaxRecordBytes = 16 << 10;

absl::Status TlsError(absl::string_view what, int code) {
  return absl::UnavailableError(absl::StrCat(what, ": ", gnutls_strerror(code)));
}

class TlsStream : public ByteStream {
 public:
  explicit TlsStream(TlsOptions options) : options_(std::move(options)) {}
  ~TlsStream() override {
    if (session_ != nullptr) gnutls_deinit(session_);
    if (credentials_ != nullptr) gnutls_certificate_free_credentials(credentials_);
  }

  absl::Status Begin(int fd) {
    int code = gnutls_certificate_allocate_credentials(&credentials_);
    if (code < 0) return TlsError("TLS cannot be used", code);
    code = options_.ca_file.empty()
               ? gnutls_certificate_set_x509_system_trust(credentials_)
               : gnutls_certificate_set_x509_trust_file(credentials_, options_.ca_file.c_str(),
                                                        GNUTLS_X509_FMT_PEM);
    if (code <= 0) {
      const std::string from =
          options_.ca_file.empty() ? "the system" : Printable(options_.ca_file);
      return absl::FailedPreconditionError(
          absl::StrCat("no certificates of authorities can be read from ", from));
    }
    code = gnutls_init(&session_, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL);
    if (code < 0) return TlsError("TLS cannot be used", code);
    gnutls_set_default_priority(session_);
    gnutls_credentials_set(session_, GNUTLS_CRD_CERTIFICATE, credentials_);
    // Addresses are no names (RFC 6066, 3).
    in6_addr ignored;
    const bool literal = inet_pton(AF_INET, options_.host.c_str(), &ignored) == 1 ||
                         inet_pton(AF_INET6, options_.host.c_str(), &ignored) == 1;
    if (!literal) {
      gnutls_server_name_set(session_, GNUTLS_NAME_DNS, options_.host.data(), options_.host.size());
    }
    gnutls_session_set_verify_cert(session_, options_.host.c_str(), 0);
    gnutls_transport_set_int(session_, fd);
    return absl::OkStatus();
  }

  absl::StatusOr<size_t> Read(absl::Span<char> buffer) override {
    const absl::StatusOr<bool> ready = Handshake();
    if (!ready.ok()) return ready.status();
    if (!*ready) return size_t{0};
    const ssize_t n = gnutls_record_recv(session_, buffer.data(), buffer.size());
    if (n == 0) return absl::UnavailableError("it ended the connection");
    return Moved(n);
  }

  absl::StatusOr<size_t> Write(absl::string_view bytes) override {
    const absl::StatusOr<bool> ready = Handshake();
    if (!ready.ok()) return ready.status();
    if (!*ready) return size_t{0};
    // A record that waits is sent again without its bytes: GnuTLS has kept them.
    const ssize_t n =
        std::exchange(repeat_, false)
            ? gnutls_record_send(session_, nullptr, 0)
            : gnutls_record_send(session_, bytes.data(), std::min(bytes.size(), kMaxRecordBytes));
    repeat_ = n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED;
    return Moved(n);
  }

  bool WaitsForRoom() const override { return gnutls_record_get_direction(session_) == 1; }

 private:
  // False while it is not done.
  absl::StatusOr<bool> Handshake() {
    if (done_) return true;
    const int code = gnutls_handshake(session_);
    if (code == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR) return Distrust();
    if (code < 0 && gnutls_error_is_fatal(code) != 0) return TlsError("TLS failed", code);
    done_ = code == GNUTLS_E_SUCCESS;
    return done_;
  }

  absl::Status Distrust() const {
    gnutls_datum_t why = {};
    const unsigned status = gnutls_session_get_verify_cert_status(session_);
    std::string reason = "it cannot be verified";
    if (gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &why, 0) >= 0) {
      reason = Printable(absl::string_view(reinterpret_cast<char*>(why.data), why.size));
      gnutls_free(why.data);
    }
    return absl::PermissionDeniedError(absl::StrCat("its certificate is not trusted: ", reason));
  }

  absl::StatusOr<size_t> Moved(ssize_t n) const {
    if (n >= 0) return static_cast<size_t>(n);
    const int code = static_cast<int>(n);
    if (gnutls_error_is_fatal(code) == 0) return size_t{0};
    return TlsError("the connection failed", code);
  }

  const TlsOptions options_;
  gnutls_certificate_credentials_t credentials_ = nullptr;
  gnutls_session_t session_ = nullptr;
  bool done_ = false;
  bool repeat_ = false;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ByteStream>> MakeTlsStream(int fd, const TlsOptions& options) {
  auto stream = std::make_unique<TlsStream>(options);
  const absl::Status begun = stream->Begin(fd);
  if (!begun.ok()) return begun;
  return std::unique_ptr<ByteStream>(std::move(stream));
}

}  // namespace p2p::tracker
