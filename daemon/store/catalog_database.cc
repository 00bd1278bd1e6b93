#include "daemon/store/catalog_database.h"

#include <sqlite3.h>

#include <cerrno>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/base/text.h"
#include "daemon/store/catalog_files.h"

namespace p2p::store {
namespace {

constexpr absl::string_view kDiskFailed = ": input/output error; check the disk";

// Whether a finding of quick_check is about a page that could not be read, whatever the disk's
// reason.
bool IsReadError(absl::string_view finding) {
  constexpr absl::string_view kUnread = "unable to get the page. error code=";
  const size_t at = finding.find(kUnread);
  if (at == absl::string_view::npos) return false;
  int code = 0;
  const absl::string_view number = finding.substr(at + kUnread.size());
  return absl::SimpleAtoi(number.substr(0, number.find_first_not_of("0123456789")), &code) &&
         (code & 0xff) == SQLITE_IOERR;
}

}  // namespace

Statement::Statement(Statement&& other) noexcept
    : database_(other.database_),
      statement_(std::exchange(other.statement_, nullptr)),
      next_argument_(other.next_argument_) {}

Statement& Statement::operator=(Statement&& other) noexcept {
  std::swap(database_, other.database_);
  std::swap(statement_, other.statement_);
  std::swap(next_argument_, other.next_argument_);
  std::swap(binding_error_, other.binding_error_);
  return *this;
}

Statement::~Statement() { sqlite3_finalize(statement_); }

Statement& Statement::Start() {
  Finish();
  sqlite3_clear_bindings(statement_);
  next_argument_ = 1;
  binding_error_ = SQLITE_OK;
  return *this;
}

Statement& Statement::Bind(int64_t value) {
  NoteBinding(sqlite3_bind_int64(statement_, next_argument_++, value));
  return *this;
}

Statement& Statement::BindText(absl::string_view value) {
  // An empty view may have no address, which would bind NULL.
  const char* data = value.empty() ? "" : value.data();
  NoteBinding(sqlite3_bind_text64(statement_, next_argument_++, data, value.size(),
                                  SQLITE_TRANSIENT, SQLITE_UTF8));
  return *this;
}

Statement& Statement::BindBlob(absl::string_view value) {
  const char* data = value.empty() ? "" : value.data();
  NoteBinding(sqlite3_bind_blob64(statement_, next_argument_++, data, value.size(), SQLITE_STATIC));
  return *this;
}

Statement& Statement::BindNull() {
  NoteBinding(sqlite3_bind_null(statement_, next_argument_++));
  return *this;
}

void Statement::NoteBinding(int code) {
  if (binding_error_ == SQLITE_OK) binding_error_ = code;
}

absl::StatusOr<bool> Statement::Step() {
  // It would be saved as NULL.
  if (binding_error_ != SQLITE_OK) return database_->Error(binding_error_);
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  absl::Status status = code == SQLITE_DONE ? absl::OkStatus() : database_->Error(code);
  Finish();
  if (!status.ok()) return status;
  return false;
}

absl::Status Statement::Run() { return Step().status(); }

int64_t Statement::Integer(int column) const { return sqlite3_column_int64(statement_, column); }

std::string Statement::Bytes(int column) const {
  const void* data = sqlite3_column_blob(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  if (data == nullptr || size <= 0) return "";
  return std::string(static_cast<const char*>(data), static_cast<size_t>(size));
}

bool Statement::IsNull(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

void Statement::Finish() { sqlite3_reset(statement_); }

absl::StatusOr<std::unique_ptr<Database>> Database::Open(const std::string& path) {
  sqlite3* handle = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  const int code = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  if (handle == nullptr) return absl::UnavailableError("out of memory");
  std::unique_ptr<Database> database(new Database(handle, path));
  if (code != SQLITE_OK) return database->Error(code);
  sqlite3_extended_result_codes(handle, 1);
  return database;
}

Database::~Database() { sqlite3_close(handle_); }

absl::Status Database::Execute(const char* sql) {
  const int code = sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? absl::OkStatus() : Error(code);
}

absl::StatusOr<Statement> Database::Prepare(const char* sql) {
  sqlite3_stmt* statement = nullptr;
  const int code =
      sqlite3_prepare_v3(handle_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) return Error(code);
  return Statement(this, statement);
}

absl::StatusOr<int64_t> Database::QueryInteger(const char* sql) {
  P2P_ASSIGN_OR_RETURN(Statement statement, Prepare(sql));
  P2P_ASSIGN_OR_RETURN(const bool row, statement.Step());
  if (!row) return absl::NotFoundError("no row");
  return statement.Integer(0);
}

absl::StatusOr<std::string> Database::QueryText(const char* sql) {
  P2P_ASSIGN_OR_RETURN(Statement statement, Prepare(sql));
  P2P_ASSIGN_OR_RETURN(const bool row, statement.Step());
  if (!row) return absl::NotFoundError("no row");
  return statement.Bytes(0);
}

int64_t Database::last_insert_id() const { return sqlite3_last_insert_rowid(handle_); }

int64_t Database::changed_rows() const { return sqlite3_changes(handle_); }

bool Database::read_only() const { return sqlite3_db_readonly(handle_, "main") == 1; }

void Database::KeepLogOnClose() {
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
}

bool Database::DiskFailed() const {
  for (const int which : {SQLITE_FCNTL_FILE_POINTER, SQLITE_FCNTL_JOURNAL_POINTER}) {
    sqlite3_file* file = nullptr;
    sqlite3_file_control(handle_, "main", which, &file);
    if (file == nullptr || file->pMethods == nullptr) continue;
    int error = 0;
    file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &error);
    // Those of SQLITE_IOERR_CORRUPTFS.
    if (error == EIO || error == ENXIO || error == ERANGE) return true;
  }
  return false;
}

absl::Status Database::Damaged(absl::string_view how) const {
  const std::string what = absl::StrCat("the catalog ", Printable(path_));
  if (DiskFailed() || IsReadError(how))
    return absl::UnavailableError(absl::StrCat(what, kDiskFailed));
  return absl::DataLossError(absl::StrCat(what, " is damaged: ", Printable(how)));
}

absl::Status Database::Error(int code) const {
  const std::string what = absl::StrCat("the catalog ", Printable(path_));
  const int system_error = sqlite3_system_errno(handle_);
  switch (code & 0xff) {
    case SQLITE_FULL:
      return ErrnoStatus(ENOSPC, what);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
    case SQLITE_ERROR:  // our own statements are right: the schema is not
      return Damaged(sqlite3_errmsg(handle_));
    case SQLITE_IOERR:
      if (system_error == ENOSPC || system_error == EDQUOT) return ErrnoStatus(system_error, what);
      return absl::UnavailableError(absl::StrCat(what, kDiskFailed));
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return ErrnoStatus(system_error == EROFS ? EROFS : EACCES, what);
    case SQLITE_CANTOPEN:
      return CatalogError(system_error != 0 ? system_error : EACCES,
                          absl::StrCat("cannot open ", what));
    case SQLITE_CONSTRAINT:
      return absl::NotFoundError(absl::StrCat(what, " has no such transfer"));
    case SQLITE_TOOBIG:
      return absl::FailedPreconditionError(absl::StrCat(what, " cannot hold content of this size"));
    default:
      return absl::UnavailableError(absl::StrCat(what, ": ", sqlite3_errmsg(handle_)));
  }
}

}  // namespace p2p::store
