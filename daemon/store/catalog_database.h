// SQLite with the project's statuses: one database file, and prepared statements on it. Owned by
// the catalog; one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct sqlite3;
struct sqlite3_stmt;

namespace p2p::store {

class Database;

// A prepared statement, used again and again. Arguments are bound in order, columns read in order.
class Statement {
 public:
  Statement() = default;
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&& other) noexcept;
  ~Statement();

  // Ready for new arguments.
  Statement& Start();
  Statement& Bind(int64_t value);
  Statement& BindText(absl::string_view value);
  Statement& BindBlob(absl::string_view value);  // the bytes must live until the next Start()
  Statement& BindNull();

  // Whether there is a row. An argument that could not be bound is told here.
  absl::StatusOr<bool> Step();
  // For statements without rows.
  absl::Status Run();

  int64_t Integer(int column) const;
  std::string Bytes(int column) const;
  bool IsNull(int column) const;
  // Ends the statement's read of the database before all rows were taken.
  void Finish();

 private:
  friend class Database;
  Statement(Database* database, sqlite3_stmt* statement)
      : database_(database), statement_(statement) {}

  Database* database_ = nullptr;
  sqlite3_stmt* statement_ = nullptr;
  void NoteBinding(int code);

  int next_argument_ = 1;
  int binding_error_ = 0;  // the first since Start()
};

class Database {
 public:
  // Makes the file when it is not there. Nothing of it is read yet.
  static absl::StatusOr<std::unique_ptr<Database>> Open(const std::string& path);
  ~Database();

  absl::Status Execute(const char* sql);
  absl::StatusOr<Statement> Prepare(const char* sql);
  // The first column of the first row.
  absl::StatusOr<int64_t> QueryInteger(const char* sql);
  absl::StatusOr<std::string> QueryText(const char* sql);
  int64_t last_insert_id() const;
  int64_t changed_rows() const;
  bool read_only() const;
  // Leaves the files as they are when it is closed.
  void KeepLogOnClose();

  // What the last call's `code` means: DataLoss for a damaged database, ResourceExhausted for a
  // full disk, NotFound for a row that refers to none, PermissionDenied, Unavailable for the rest.
  absl::Status Error(int code) const;
  // DataLoss, or Unavailable when the disk could not be read: SQLite calls that malformed as well.
  absl::Status Damaged(absl::string_view how) const;

 private:
  Database(sqlite3* handle, std::string path) : handle_(handle), path_(std::move(path)) {}
  bool DiskFailed() const;  // at some time since it was opened

  sqlite3* const handle_;
  const std::string path_;
};

}  // namespace p2p::store
