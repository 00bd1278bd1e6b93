#include "tests/support/sqlite_faults.h"

#include <sqlite3.h>

namespace p2p::testing_support {
namespace {

sqlite3_vfs* real_vfs = nullptr;
sqlite3_vfs faulty_vfs;

// SQLite has one table of methods for each way of locking.
struct Methods {
  const sqlite3_io_methods* real = nullptr;
  sqlite3_io_methods faulty;
};
Methods all_methods[4];

const sqlite3_io_methods* RealMethods(sqlite3_file* file) {
  for (const Methods& methods : all_methods) {
    if (file->pMethods == &methods.faulty) return methods.real;
  }
  return nullptr;
}

int FaultyWrite(sqlite3_file* file, const void* data, int size, sqlite3_int64 offset) {
  const int code = SqliteFaults::on_write ? SqliteFaults::on_write() : SQLITE_OK;
  return code != SQLITE_OK ? code : RealMethods(file)->xWrite(file, data, size, offset);
}

int FaultySync(sqlite3_file* file, int flags) {
  const int code = SqliteFaults::on_sync ? SqliteFaults::on_sync() : SQLITE_OK;
  return code != SQLITE_OK ? code : RealMethods(file)->xSync(file, flags);
}

int FaultyOpen(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  const int code = real_vfs->xOpen(real_vfs, name, file, flags, out_flags);
  if (code != SQLITE_OK || file->pMethods == nullptr) return code;
  for (Methods& methods : all_methods) {
    if (methods.real == nullptr) {
      methods.real = file->pMethods;
      methods.faulty = *methods.real;
      methods.faulty.xWrite = FaultyWrite;
      methods.faulty.xSync = FaultySync;
    }
    if (methods.real != file->pMethods) continue;
    file->pMethods = &methods.faulty;
    break;
  }
  return code;
}

}  // namespace

std::function<int()> SqliteFaults::on_write;
std::function<int()> SqliteFaults::on_sync;

SqliteFaults::SqliteFaults() {
  real_vfs = sqlite3_vfs_find(nullptr);
  faulty_vfs = *real_vfs;
  faulty_vfs.zName = "faulty";
  faulty_vfs.xOpen = FaultyOpen;
  sqlite3_vfs_register(&faulty_vfs, 1);
}

SqliteFaults::~SqliteFaults() {
  on_write = nullptr;
  on_sync = nullptr;
  sqlite3_vfs_unregister(&faulty_vfs);
  sqlite3_vfs_register(real_vfs, 1);
}

}  // namespace p2p::testing_support
