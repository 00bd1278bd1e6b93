#include "tracker/snapshot.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/content/sha256.h"

namespace p2p::tracker {
namespace {

constexpr absl::string_view kMagic = "P2PTRKR1";
// A block is ended when it has so much, and has what came in one turn on top.
constexpr size_t kBlockBytes = 256 << 10;
constexpr size_t kMaxBlockBytes = 2 << 20;
constexpr size_t kHashBytes = sizeof(Hash256::bytes);
// A registration: flags, name size (2), name, size (8), content id (0 or 32), address (4 or 16),
// port (2), expiry in milliseconds of the wall clock (8). With kSameVersion the four fields of the
// version are those of the registration before it in its block.
enum Flags : uint8_t { kPartial = 1, kContentId = 2, kIpV4 = 4, kSameVersion = 8, kAllFlags = 15 };

void Put(uint64_t number, size_t bytes, std::string* out) {
  for (size_t i = 0; i < bytes; ++i) out->push_back(static_cast<char>(number >> (8 * i)));
}

uint64_t NumberOf(absl::string_view bytes) {
  uint64_t number = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    number |= uint64_t{static_cast<uint8_t>(bytes[i])} << (8 * i);
  }
  return number;
}

Hash256 BlockHash(uint64_t number, absl::string_view payload) {
  std::string text;
  text.reserve(sizeof number + payload.size());
  Put(number, sizeof number, &text);
  text.append(payload.data(), payload.size());
  return content::Sha256(text);
}

// Writes blocks to a descriptor.
class Writer {
 public:
  Writer(int fd, const SnapshotTime& time) : fd_(fd), time_(time), out_(kMagic) {}

  void Add(const RegistrationView& one) {
    ++count_;
    const bool same = !payload_.empty() && one.name == name_ && one.size == size_ &&
                      one.content_id == content_id_;
    payload_.push_back(static_cast<char>(
        (one.partial ? kPartial : 0) | (one.content_id.has_value() ? kContentId : 0) |
        (one.address.ip.IsV4() ? kIpV4 : 0) | (same ? kSameVersion : 0)));
    if (!same) {
      name_.assign(one.name.data(), one.name.size());
      size_ = one.size;
      content_id_ = one.content_id;
      Put(name_.size(), 2, &payload_);
      payload_ += name_;
      Put(size_.value(), 8, &payload_);
      if (content_id_.has_value()) absl::StrAppend(&payload_, content_id_->hash.AsView());
    }
    const auto& ip = one.address.ip.bytes;
    payload_.append(ip.begin() + (one.address.ip.IsV4() ? 12 : 0), ip.end());
    Put(one.address.port, 2, &payload_);
    Put(static_cast<uint64_t>(absl::ToUnixMillis(time_.wall + (one.expires - time_.now))), 8,
        &payload_);
  }
  void WriteWhenFull() {
    if (payload_.size() >= kBlockBytes) EndBlock();
  }

  // Everything is written and synced after it, or the errno of what went wrong.
  int Finish() {
    if (!payload_.empty()) EndBlock();
    EndBlock();
    if (error_ == 0 && fsync(fd_) != 0) error_ = errno;
    return error_;
  }
  size_t count() const { return count_; }

 private:
  void EndBlock() {
    Put(payload_.size(), 4, &out_);
    out_ += payload_;
    absl::StrAppend(&out_, BlockHash(block_++, payload_).AsView());
    payload_.clear();
    for (size_t at = 0; at < out_.size() && error_ == 0;) {
      const ssize_t n = write(fd_, out_.data() + at, out_.size() - at);
      if (n >= 0) at += static_cast<size_t>(n);
      if (n < 0 && errno != EINTR) error_ = errno;
    }
    out_.clear();
  }

  const int fd_;
  const SnapshotTime time_;
  std::string out_;
  std::string payload_;
  uint64_t block_ = 0;
  size_t count_ = 0;
  int error_ = 0;
  std::string name_;
  ByteCount size_;
  absl::optional<ContentId> content_id_;
};

// Takes `size` bytes from the front of `text`; false when there are fewer.
bool Take(absl::string_view* text, size_t size, absl::string_view* out) {
  if (text->size() < size) return false;
  *out = text->substr(0, size);
  text->remove_prefix(size);
  return true;
}

// The next registration of a payload; `one` is the one before it. False when it is not whole.
bool TakeRegistration(absl::string_view* payload, const SnapshotTime& time, RegistrationView* one) {
  absl::string_view field;
  if (!Take(payload, 1, &field)) return false;
  const auto flags = static_cast<uint8_t>(field[0]);
  one->partial = (flags & kPartial) != 0;
  if ((flags & kSameVersion) == 0) {
    if (!Take(payload, 2, &field) || !Take(payload, NumberOf(field), &one->name)) return false;
    if (!Take(payload, 8, &field)) return false;
    one->size = ByteCount(NumberOf(field));
    one->content_id.reset();
    if ((flags & kContentId) != 0) {
      if (!Take(payload, kHashBytes, &field)) return false;
      one->content_id.emplace();
      std::copy(field.begin(), field.end(), one->content_id->hash.bytes.begin());
    }
  }
  const bool v4 = (flags & kIpV4) != 0;
  if (!Take(payload, v4 ? 4 : 16, &field)) return false;
  one->address.ip = v4 ? wire::IpAddress::FromV4({}) : wire::IpAddress();
  std::copy(field.begin(), field.end(), one->address.ip.bytes.begin() + (v4 ? 12 : 0));
  if (!Take(payload, 2, &field)) return false;
  one->address.port = static_cast<uint16_t>(NumberOf(field));
  if (!Take(payload, 8, &field)) return false;
  const absl::Time wall_expiry = absl::FromUnixMillis(static_cast<int64_t>(NumberOf(field)));
  one->expires = time.now + (wall_expiry - time.wall);
  return flags <= kAllFlags;
}

absl::Status Damaged(const std::string& path, absl::string_view how) {
  return absl::DataLossError(absl::StrCat(path, " ", how));
}

// Reads exactly `size` bytes.
absl::Status ReadExactly(int fd, const std::string& path, size_t size, std::string* out) {
  out->resize(size);
  for (size_t at = 0; at < size;) {
    const ssize_t n = read(fd, &(*out)[at], size - at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus(errno, absl::StrCat("cannot read the snapshot ", path));
    if (n == 0) return Damaged(path, "ends too early");
    at += static_cast<size_t>(n);
  }
  return absl::OkStatus();
}

// Shows each payload, all of them checked.
absl::Status ReadBlocks(int fd, const std::string& path,
                        absl::FunctionRef<bool(absl::string_view)> use) {
  std::string text;
  P2P_RETURN_IF_ERROR(ReadExactly(fd, path, kMagic.size(), &text));
  if (text != kMagic) return Damaged(path, "is no snapshot of this version");
  for (uint64_t number = 0;; ++number) {
    P2P_RETURN_IF_ERROR(ReadExactly(fd, path, 4, &text));
    const size_t size = NumberOf(text);
    if (size > kMaxBlockBytes) return Damaged(path, "is damaged");
    P2P_RETURN_IF_ERROR(ReadExactly(fd, path, size + kHashBytes, &text));
    const absl::string_view payload = absl::string_view(text).substr(0, size);
    if (BlockHash(number, payload).AsView() != absl::string_view(text).substr(size)) {
      return Damaged(path, "is damaged");
    }
    if (size == 0) break;
    if (!use(payload)) return Damaged(path, "is damaged");
  }
  char more;
  if (read(fd, &more, 1) != 0) return Damaged(path, "goes on after its end");
  return absl::OkStatus();
}

absl::Status Replace(const std::string& aside, const std::string& path) {
  if (rename(aside.c_str(), path.c_str()) != 0) {
    const int error_number = errno;
    unlink(aside.c_str());
    return ErrnoStatus(error_number, absl::StrCat("cannot write the snapshot ", path));
  }
  const size_t slash = path.rfind('/');
  const std::string folder = slash == path.npos ? "." : path.substr(0, slash + 1);
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0) {
    (void)fsync(fd);  // the file is whole either way
    close(fd);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<size_t> SaveSnapshot(const std::string& path, const SnapshotTime& time,
                                    const Registry& registry) {
  const std::string aside = path + ".new";
  const int fd = open(aside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return ErrnoStatus(errno, absl::StrCat("cannot write the snapshot ", aside));
  Writer writer(fd, time);
  registry.Visit(
      time.now, [&writer](const RegistrationView& one) { writer.Add(one); },
      [&writer] { writer.WriteWhenFull(); });
  const int error_number = writer.Finish();
  close(fd);
  if (error_number != 0) {
    unlink(aside.c_str());
    return ErrnoStatus(error_number, absl::StrCat("cannot write the snapshot ", aside));
  }
  P2P_RETURN_IF_ERROR(Replace(aside, path));
  return writer.count();
}

absl::StatusOr<size_t> LoadSnapshot(const std::string& path, const SnapshotTime& time,
                                    Registry* registry) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return ErrnoStatus(errno, absl::StrCat("cannot read the snapshot ", path));
  const absl::Cleanup closer = [fd] { close(fd); };
  // First all of it is checked, and then all of it used.
  RegistrationView one;
  const auto each = [&](absl::string_view payload, absl::FunctionRef<void()> use) {
    while (!payload.empty()) {
      if (!TakeRegistration(&payload, time, &one)) return false;
      use();
    }
    return true;
  };
  P2P_RETURN_IF_ERROR(
      ReadBlocks(fd, path, [&each](absl::string_view payload) { return each(payload, [] {}); }));
  if (lseek(fd, 0, SEEK_SET) != 0) {
    return ErrnoStatus(errno, absl::StrCat("cannot read the snapshot ", path));
  }
  const absl::Status again = ReadBlocks(fd, path, [&](absl::string_view payload) {
    return each(payload, [&] { registry->Restore(one, time.now); });
  });
  P2P_RETURN_IF_ERROR(again);
  return registry->registration_count();
}

}  // namespace p2p::tracker
