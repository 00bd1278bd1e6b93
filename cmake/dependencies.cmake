# Every library this project links, found once. The packages are installed by build.sh.
find_package(Threads REQUIRED)
find_package(absl REQUIRED)
find_package(Protobuf REQUIRED)
find_package(gRPC CONFIG REQUIRED)
find_package(CLI11 CONFIG REQUIRED)
find_package(spdlog CONFIG REQUIRED)
find_package(nlohmann_json CONFIG REQUIRED)
find_package(GnuTLS REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(HIREDIS REQUIRED IMPORTED_TARGET hiredis)
find_path(ASIO_INCLUDE_DIR asio.hpp REQUIRED)
find_path(TOMLPLUSPLUS_INCLUDE_DIR toml++/toml.h REQUIRED)

add_library(p2p_asio INTERFACE)
target_include_directories(p2p_asio SYSTEM INTERFACE ${ASIO_INCLUDE_DIR})
target_compile_definitions(p2p_asio INTERFACE ASIO_STANDALONE ASIO_NO_DEPRECATED)
target_link_libraries(p2p_asio INTERFACE Threads::Threads)

add_library(p2p_toml INTERFACE)
target_include_directories(p2p_toml SYSTEM INTERFACE ${TOMLPLUSPLUS_INCLUDE_DIR})
target_compile_definitions(p2p_toml INTERFACE TOML_EXCEPTIONS=0)
# toml++ 3.3 asserts that a key begins well, where a file may say something else ("[.a]"). Without the
# assertion it reports an error; Clang would take the assertion for granted under NDEBUG.
target_compile_options(p2p_toml INTERFACE "-DTOML_ASSERT(expr)=static_assert(true)"
                                          $<$<CXX_COMPILER_ID:Clang>:-UNDEBUG>)
# Letters that are no white space are told apart from it without undefined behaviour.
target_compile_options(p2p_toml INTERFACE "SHELL:-include ${CMAKE_CURRENT_LIST_DIR}/toml_unicode.h")
