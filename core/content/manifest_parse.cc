// Manifest::Parse: from the bytes of an info dictionary, which a peer sent, to a Manifest.
#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/limits.h"
#include "core/base/names.h"
#include "core/base/status.h"
#include "core/content/bencode.h"
#include "core/content/manifest.h"
#include "core/content/sha256.h"

namespace p2p::content {
namespace {

using Key = absl::optional<absl::string_view>;

absl::Status Refuse(absl::string_view reason) { return absl::InvalidArgumentError(reason); }

// Collects the files of "file tree" in the order in which they are written, which is manifest order
// because the reader insists on sorted keys.
class FileTreeReader {
 public:
  explicit FileTreeReader(BencodeReader* reader) : reader_(reader) {}

  // Reads "file tree".
  absl::Status ReadTree();

  std::vector<LayoutFile> files;
  std::vector<Hash256> roots;

 private:
  // The rest of a directory, from the entry `name` on.
  absl::Status ReadChildren(Key name);
  absl::Status ReadEntry();
  absl::Status ReadFile();
  absl::Status TakeValue(absl::string_view key, LayoutFile* file);
  absl::Status TakeAttributes(LayoutFile* file);
  absl::Status TakeRoot();
  // What is known once the whole entry of a file was read.
  absl::Status CheckFile(const LayoutFile& file);

  BencodeReader* const reader_;
  std::string path_;  // of the current entry
  size_t path_bytes_ = 0;
  bool has_length_ = false;
  absl::optional<Hash256> root_;
};

absl::Status FileTreeReader::ReadTree() {
  P2P_RETURN_IF_ERROR(reader_->EnterDictionary());
  P2P_ASSIGN_OR_RETURN(const Key first, reader_->NextKey());
  return ReadChildren(first);
}

absl::Status FileTreeReader::ReadChildren(Key name) {
  if (!name.has_value()) return Refuse("a directory is empty");
  const size_t parent_bytes = path_.size();
  while (name.has_value()) {
    P2P_RETURN_IF_ERROR(Annotate(CheckNameComponent(*name), "in the file tree"));
    if (path_.size() + 1 + name->size() > limits::kMaxNameBytes) {
      return Refuse("a path is longer than 1024 bytes");
    }
    if (!path_.empty()) path_ += '/';
    path_.append(name->data(), name->size());
    P2P_RETURN_IF_ERROR(ReadEntry());
    path_.resize(parent_bytes);
    P2P_ASSIGN_OR_RETURN(name, reader_->NextKey());
  }
  return absl::OkStatus();
}

// A file is a directory whose only entry has the empty name.
absl::Status FileTreeReader::ReadEntry() {
  P2P_RETURN_IF_ERROR(reader_->EnterDictionary());
  P2P_ASSIGN_OR_RETURN(const Key first, reader_->NextKey());
  if (first != Key("")) return ReadChildren(first);
  P2P_RETURN_IF_ERROR(ReadFile());
  P2P_ASSIGN_OR_RETURN(const Key second, reader_->NextKey());
  return second.has_value() ? Refuse("a path is both a file and a directory") : absl::OkStatus();
}

absl::Status FileTreeReader::ReadFile() {
  LayoutFile file;
  has_length_ = false;
  root_.reset();
  P2P_RETURN_IF_ERROR(reader_->EnterDictionary());
  while (true) {
    P2P_ASSIGN_OR_RETURN(const Key key, reader_->NextKey());
    if (!key.has_value()) break;
    P2P_RETURN_IF_ERROR(TakeValue(*key, &file));
  }
  P2P_RETURN_IF_ERROR(CheckFile(file));
  file.path = path_;
  files.push_back(std::move(file));
  roots.push_back(root_.value_or(Hash256()));
  return absl::OkStatus();
}

absl::Status FileTreeReader::TakeValue(absl::string_view key, LayoutFile* file) {
  if (key == "attr") return TakeAttributes(file);
  if (key == "pieces root") return TakeRoot();
  if (key != "length") return reader_->Skip();
  P2P_ASSIGN_OR_RETURN(const int64_t length, reader_->ReadInteger());
  if (length < 0 || static_cast<uint64_t>(length) > limits::kMaxFileBytes) {
    return Refuse("the length of a file is negative or beyond 2^50");
  }
  has_length_ = true;
  file->length = ByteCount(static_cast<uint64_t>(length));
  return absl::OkStatus();
}

// BEP 47: x executable, l symbolic link, p padding, h hidden.
absl::Status FileTreeReader::TakeAttributes(LayoutFile* file) {
  P2P_ASSIGN_OR_RETURN(const absl::string_view attributes, reader_->ReadString());
  if (absl::StrContains(attributes, 'l')) return Refuse("symbolic links are not supported");
  if (absl::StrContains(attributes, 'p')) return Refuse("pad files have no place in a v2 manifest");
  file->executable = absl::StrContains(attributes, 'x');
  return absl::OkStatus();
}

absl::Status FileTreeReader::TakeRoot() {
  P2P_ASSIGN_OR_RETURN(const absl::string_view root, reader_->ReadString());
  if (root.size() != sizeof(Hash256)) return Refuse("a pieces root is not 32 bytes");
  root_.emplace();
  std::copy(root.begin(), root.end(), root_->bytes.begin());
  return absl::OkStatus();
}

absl::Status FileTreeReader::CheckFile(const LayoutFile& file) {
  if (!has_length_) return Refuse("a file has no length");
  const bool empty = file.length.value() == 0;
  if (!empty && !root_.has_value()) return Refuse("a file has no pieces root");
  if (empty && root_.has_value()) return Refuse("an empty file has a pieces root");
  if (files.size() >= limits::kMaxFiles) {
    return Refuse(absl::StrCat("it has more than ", limits::kMaxFiles, " files"));
  }
  path_bytes_ += path_.size();
  if (path_bytes_ > limits::kMaxPathBytes) return Refuse("the paths of the files are too long");
  return absl::OkStatus();
}

// The dictionary's values besides the file tree.
struct InfoValues {
  int64_t meta_version = 0;
  int64_t piece_length = 0;
  absl::optional<absl::string_view> name;
};

absl::Status ReadInfo(BencodeReader* reader, FileTreeReader* tree, InfoValues* values) {
  P2P_RETURN_IF_ERROR(reader->EnterDictionary());
  while (true) {
    P2P_ASSIGN_OR_RETURN(const Key key, reader->NextKey());
    if (!key.has_value()) break;
    if (*key == "file tree") {
      P2P_RETURN_IF_ERROR(tree->ReadTree());
    } else if (*key == "meta version") {
      P2P_ASSIGN_OR_RETURN(values->meta_version, reader->ReadInteger());
    } else if (*key == "piece length") {
      P2P_ASSIGN_OR_RETURN(values->piece_length, reader->ReadInteger());
    } else if (*key == "name") {
      P2P_ASSIGN_OR_RETURN(values->name, reader->ReadString());
    } else {
      P2P_RETURN_IF_ERROR(reader->Skip());
    }
  }
  return reader->Finish();
}

absl::Status CheckInfo(const InfoValues& values, const FileTreeReader& tree) {
  if (values.meta_version != 2) return Refuse("'meta version' is not 2");
  if (tree.files.empty()) return Refuse("it has no file tree");
  if (!values.name.has_value()) return Refuse("it has no name");
  if (values.piece_length != limits::kChunkBytes) {
    return Refuse(absl::StrCat("'piece length' is ", values.piece_length, "; only ",
                               limits::kChunkBytes, " is supported"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Layout> ReadLayout(absl::string_view info, std::vector<Hash256>* roots) {
  if (info.size() > limits::kMaxManifestBytes) {
    return Refuse(absl::StrCat("it is larger than ", limits::kMaxManifestBytes >> 20, " MiB"));
  }
  BencodeReader reader(info);
  FileTreeReader tree(&reader);
  InfoValues values;
  P2P_RETURN_IF_ERROR(ReadInfo(&reader, &tree, &values));
  P2P_RETURN_IF_ERROR(CheckInfo(values, tree));
  *roots = std::move(tree.roots);
  const bool is_directory = tree.files.size() != 1 || tree.files.front().path != *values.name;
  return Layout::Make(std::string(*values.name), is_directory, std::move(tree.files));
}

}  // namespace

absl::StatusOr<Manifest> Manifest::Parse(std::string info) {
  Manifest manifest;
  absl::StatusOr<Layout> layout = ReadLayout(info, &manifest.roots_);
  if (!layout.ok()) return Annotate(layout.status(), "manifest");
  manifest.layout_ = *std::move(layout);
  manifest.content_id_ = ContentId{Sha256(info)};
  manifest.info_ = std::move(info);
  return manifest;
}

}  // namespace p2p::content
