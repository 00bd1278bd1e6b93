#include "tests/support/crashing_sqlite.h"

#include <sqlite3.h>

#include <cstring>
#include <new>

namespace p2p::testing_support {
namespace {

CrashingFileSystem* current_disk = nullptr;
sqlite3_vfs* real_vfs = nullptr;
sqlite3_vfs crashing_vfs;

struct Place {
  std::unique_ptr<store::Directory> directory;
  std::string name;
};

absl::StatusOr<Place> Locate(const char* path) {
  const std::string text = path;
  const size_t slash = text.rfind('/');
  auto directory = current_disk->OpenRoot(text.substr(0, slash));
  if (!directory.ok()) return directory.status();
  return Place{*std::move(directory), text.substr(slash + 1)};
}

struct OpenFile {
  sqlite3_file base;
  Place place;
  std::unique_ptr<store::File> file;
  // As SQLite's own: the first sync of a log or journal makes its name durable as well.
  bool sync_directory;
};

OpenFile* Of(sqlite3_file* file) { return reinterpret_cast<OpenFile*>(file); }

uint64_t SizeOf(OpenFile* file) {
  const auto info = file->file->Info();
  return info.ok() ? info->identity.size : 0;
}

int Close(sqlite3_file* file) {
  Of(file)->~OpenFile();
  return SQLITE_OK;
}

int Read(sqlite3_file* file, void* data, int count, sqlite3_int64 offset) {
  const uint64_t size = SizeOf(Of(file));
  const auto start = static_cast<uint64_t>(offset);
  const auto wanted = static_cast<uint64_t>(count);
  const uint64_t there = start >= size ? 0 : std::min(wanted, size - start);
  auto* bytes = static_cast<uint8_t*>(data);
  if (!Of(file)->file->ReadAt(start, absl::MakeSpan(bytes, there)).ok()) return SQLITE_IOERR_READ;
  if (there == wanted) return SQLITE_OK;
  std::memset(bytes + there, 0, wanted - there);
  return SQLITE_IOERR_SHORT_READ;
}

int Write(sqlite3_file* file, const void* data, int count, sqlite3_int64 offset) {
  const auto bytes =
      absl::MakeConstSpan(static_cast<const uint8_t*>(data), static_cast<size_t>(count));
  const bool ok = Of(file)->file->WriteAt(static_cast<uint64_t>(offset), bytes).ok();
  return ok ? SQLITE_OK : SQLITE_IOERR_WRITE;
}

int Truncate(sqlite3_file* file, sqlite3_int64 size) {
  const bool ok = Of(file)->file->Truncate(static_cast<uint64_t>(size)).ok();
  return ok ? SQLITE_OK : SQLITE_IOERR_TRUNCATE;
}

int Sync(sqlite3_file* file, int) {
  if (!Of(file)->file->SyncData().ok()) return SQLITE_IOERR_FSYNC;
  if (!Of(file)->sync_directory) return SQLITE_OK;
  Of(file)->sync_directory = false;
  return Of(file)->place.directory->Sync().ok() ? SQLITE_OK : SQLITE_IOERR_DIR_FSYNC;
}

int FileSize(sqlite3_file* file, sqlite3_int64* size) {
  *size = static_cast<sqlite3_int64>(SizeOf(Of(file)));
  return SQLITE_OK;
}

int Lock(sqlite3_file*, int) { return SQLITE_OK; }

int CheckReservedLock(sqlite3_file*, int* is_held) {
  *is_held = 0;
  return SQLITE_OK;
}

int FileControl(sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; }

int SectorSize(sqlite3_file*) { return 4096; }

// As SQLite's own on Linux.
int DeviceCharacteristics(sqlite3_file*) { return SQLITE_IOCAP_POWERSAFE_OVERWRITE; }

const sqlite3_io_methods kMethods = {1,
                                     Close,
                                     Read,
                                     Write,
                                     Truncate,
                                     Sync,
                                     FileSize,
                                     Lock,
                                     Lock,
                                     CheckReservedLock,
                                     FileControl,
                                     SectorSize,
                                     DeviceCharacteristics,
                                     nullptr,
                                     nullptr,
                                     nullptr,
                                     nullptr,
                                     nullptr,
                                     nullptr};

int Open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  file->pMethods = nullptr;
  if (name == nullptr) return SQLITE_CANTOPEN;  // a file that nobody needs later
  auto place = Locate(name);
  if (!place.ok()) return SQLITE_CANTOPEN;
  auto opened = place->directory->OpenReadWrite(place->name);
  const bool make = (flags & SQLITE_OPEN_CREATE) != 0;
  if (absl::IsNotFound(opened.status()) && make) opened = place->directory->CreateNew(place->name);
  if (!opened.ok()) return SQLITE_CANTOPEN;
  const bool is_log = (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL)) != 0;
  new (file) OpenFile{{&kMethods}, *std::move(place), *std::move(opened), make && is_log};
  if (out_flags != nullptr) *out_flags = flags;
  return SQLITE_OK;
}

int Delete(sqlite3_vfs*, const char* name, int sync_directory) {
  const auto place = Locate(name);
  if (!place.ok()) return SQLITE_IOERR_DELETE;
  const absl::Status removed = place->directory->Remove(place->name, false);
  if (absl::IsNotFound(removed)) return SQLITE_IOERR_DELETE_NOENT;
  if (!removed.ok()) return SQLITE_IOERR_DELETE;
  if (sync_directory == 0 || place->directory->Sync().ok()) return SQLITE_OK;
  return SQLITE_IOERR_DIR_FSYNC;
}

int Access(sqlite3_vfs*, const char* name, int, int* result) {
  const auto place = Locate(name);
  *result = place.ok() && place->directory->Info(place->name).ok() ? 1 : 0;
  return SQLITE_OK;
}

int FullPathname(sqlite3_vfs*, const char* name, int size, char* out) {
  sqlite3_snprintf(size, out, "%s", name);
  return SQLITE_OK;
}

}  // namespace

CrashingSqlite::CrashingSqlite(CrashingFileSystem* disk) {
  current_disk = disk;
  real_vfs = sqlite3_vfs_find(nullptr);
  crashing_vfs = *real_vfs;
  crashing_vfs.zName = "crashing";
  crashing_vfs.szOsFile = sizeof(OpenFile);
  crashing_vfs.xOpen = Open;
  crashing_vfs.xDelete = Delete;
  crashing_vfs.xAccess = Access;
  crashing_vfs.xFullPathname = FullPathname;
  sqlite3_vfs_register(&crashing_vfs, 1);
}

CrashingSqlite::~CrashingSqlite() {
  sqlite3_vfs_unregister(&crashing_vfs);
  sqlite3_vfs_register(real_vfs, 1);
}

}  // namespace p2p::testing_support
