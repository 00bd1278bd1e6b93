# Flags and helpers that every target of the project shares.
add_library(p2p_flags INTERFACE)
target_include_directories(p2p_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_definitions(p2p_flags INTERFACE P2P_VERSION="${PROJECT_VERSION}")
target_compile_options(p2p_flags INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor)
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  target_compile_options(p2p_flags INTERFACE -Wthread-safety -Werror=thread-safety)
endif()
if(P2P_PORTABLE)
  target_compile_definitions(p2p_flags INTERFACE P2P_PORTABLE=1)
endif()
if(P2P_SANITIZE)
  # Not vptr: it opens a pipe to look at an object, and finds fault with each one when no descriptor is left.
  add_compile_options(-fsanitize=${P2P_SANITIZE} -fno-sanitize=vptr -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${P2P_SANITIZE})
endif()
if(P2P_SANITIZE STREQUAL "thread")
  add_library(p2p_tsan_abseil OBJECT ${PROJECT_SOURCE_DIR}/tests/support/tsan_abseil.cc)
  target_link_libraries(p2p_tsan_abseil PRIVATE absl::status absl::synchronization)
  # Once in each program: in a library it would stand behind the one that it stands before.
  target_sources(p2p_flags INTERFACE
    $<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:$<TARGET_OBJECTS:p2p_tsan_abseil>>)
  target_link_libraries(p2p_flags INTERFACE absl::status absl::synchronization)
endif()

find_program(P2P_MOLD mold)
if(P2P_MOLD)
  add_link_options(-fuse-ld=mold)
endif()
find_program(P2P_CCACHE ccache)
if(P2P_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${P2P_CCACHE})
endif()

# p2p_library(NAME SOURCES a.cc ... [DEPS lib ...]): one library a folder; DEPS are the only parts it may know.
function(p2p_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC p2p_flags ${ARG_DEPS})
endfunction()

# p2p_test(NAME SOURCES a.cc ... [DEPS lib ...] [THREADS FILTER ...] [SUITES suite ...]): a GoogleTest program; each TEST
# becomes a ctest test, with the suites that take it beside the release build's (portable, sanitizers, tsan) as its label.
# THREADS: filters of GoogleTest for those in which threads meet; only programs that have some are built for the thread
# sanitizer. SUITES: which of portable and sanitizers take them (default: both).
function(p2p_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;THREADS;SUITES" ${ARGN})
  if(P2P_SANITIZE STREQUAL "thread" AND NOT ARG_THREADS)
    return()
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE p2p_flags ${ARG_DEPS} GTest::gtest GTest::gmock GTest::gtest_main)
  if(NOT DEFINED ARG_SUITES)
    set(ARG_SUITES portable sanitizers)
  endif()
  string(REPLACE ";" "+" suites "unit;${ARG_SUITES}")
  string(REPLACE ";" ":" threads "${ARG_THREADS}")
  if(NOT ARG_THREADS)
    p2p_discover_tests(${name} "*" "${suites}")
  elseif(NOT threads STREQUAL "*")
    p2p_discover_tests(${name} "-${threads}" "${suites}")
  endif()
  if(ARG_THREADS)
    p2p_discover_tests(${name} "${threads}" "${suites}+tsan")
  endif()
endfunction()

function(p2p_discover_tests name filter label)
  # Sanitizer builds are several times slower.
  set(timeout 120)
  if(P2P_SANITIZE)
    set(timeout 400)
  endif()
  string(MAKE_C_IDENTIFIER "${name}_${label}" list)
  gtest_discover_tests(${name} NO_PRETTY_VALUES DISCOVERY_TIMEOUT 60 TEST_FILTER "${filter}" TEST_LIST ${list}
                       PROPERTIES TIMEOUT ${timeout} LABELS "${label}")
endfunction()
