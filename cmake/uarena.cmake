# The few verbs that every room's CMakeLists.txt uses: a library, a program, a test, a BPF object.
include(GoogleTest)
find_package(fmt REQUIRED)
find_package(Threads REQUIRED)

add_library(uarena_options INTERFACE)
target_include_directories(uarena_options INTERFACE ${PROJECT_SOURCE_DIR}
                                                    ${PROJECT_SOURCE_DIR}/ipc/client/include)
target_compile_definitions(uarena_options INTERFACE _GNU_SOURCE UARENA_VERSION="${PROJECT_VERSION}")
target_compile_options(
  uarena_options
  INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wno-missing-field-initializers
            $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor>
            $<$<BOOL:${UARENA_WERROR}>:-Werror> -fno-omit-frame-pointer
            # Functions and lines for back traces and perf; who looks at variables builds Debug. g++ 12
            # spends an eighth of its time on collecting its garbage.
            $<$<CONFIG:RelWithDebInfo>:-g1> $<$<CXX_COMPILER_ID:GNU>:--param=ggc-min-heapsize=1000000>)
if(UARENA_SANITIZE)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # g++ 12 sees uninitialised members in std::regex when it also inserts the sanitizers' checks.
    target_compile_options(uarena_options INTERFACE -Wno-maybe-uninitialized)
  endif()
  target_compile_options(uarena_options INTERFACE -fsanitize=${UARENA_SANITIZE}
                                                  -fno-sanitize-recover=all)
  # The vptr check looks at memory through a pipe; where a test has used up all descriptors, it can't
  # have one and reports what isn't there.
  target_compile_options(uarena_options INTERFACE -fno-sanitize=vptr)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    # It looks for a function's type in front of its code, and programs that we compile have none.
    target_compile_options(uarena_options INTERFACE -fno-sanitize=function)
  endif()
  target_link_options(uarena_options INTERFACE -fsanitize=${UARENA_SANITIZE})
  target_compile_definitions(uarena_options INTERFACE UARENA_SANITIZED=1)
endif()
target_link_libraries(uarena_options INTERFACE fmt::fmt Threads::Threads)

include(${CMAKE_CURRENT_LIST_DIR}/precompiled.cmake)

# uarena_library(NAME SOURCES a.cc … [DEPS lib …]): a static library of one room or part of a room.
function(uarena_library name)
  cmake_parse_arguments(A "" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${A_SOURCES})
  target_link_libraries(${name} PUBLIC uarena_options ${A_DEPS})
  uarena_precompiled(${name} library)
endfunction()

# uarena_program(NAME SOURCES a.cc … [DEPS lib …]): an executable in build/<preset>/bin.
function(uarena_program name)
  cmake_parse_arguments(A "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE uarena_options ${A_DEPS})
  uarena_precompiled(${name} program)
endfunction()

add_custom_target(unit_tests COMMENT "all tests with the label unit")

# uarena_test(NAME SOURCES a_test.cc … [DEPS lib …] [LABEL unit|integration|parity]): a GoogleTest
# program; each of its cases is a ctest case of its own, so that ctest's count is the tests' count.
# BPF: names of uarena_bpf_object targets that the test needs built.
function(uarena_test name)
  cmake_parse_arguments(A "" "LABEL" "SOURCES;DEPS;BPF;NEEDS" ${ARGN})
  if(NOT A_LABEL)
    set(A_LABEL unit)
  endif()
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE uarena_options ${A_DEPS} GTest::gmock GTest::gtest_main)
  target_compile_definitions(
    ${name} PRIVATE UARENA_BIN_DIR="${CMAKE_BINARY_DIR}/bin" UARENA_BPF_DIR="${CMAKE_BINARY_DIR}/bpf"
                    UARENA_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  if(A_BPF OR A_NEEDS)
    add_dependencies(${name} ${A_BPF} ${A_NEEDS})
  endif()
  target_compile_options(${name} PRIVATE ${UARENA_TEST_OPTIONS})
  uarena_precompiled(${name} test)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  if(A_LABEL STREQUAL unit)
    add_dependencies(unit_tests ${name})
  endif()
  gtest_discover_tests(${name} TEST_PREFIX "${name}." DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
                       PROPERTIES LABELS ${A_LABEL} TIMEOUT 120)
endfunction()

find_program(UARENA_BPF_CLANG NAMES clang-19 REQUIRED)
set(UARENA_BPF_DIR ${CMAKE_BINARY_DIR}/bpf)
file(MAKE_DIRECTORY ${UARENA_BPF_DIR})

# uarena_bpf_object(NAME SOURCE): compiles SOURCE (BPF C) with clang-19 to build/<preset>/bpf/NAME.bpf.o.
# The target is called NAME_bpf. The source lines that the object carries for people name files of the
# project, not of the machine that built it; the compiler reads them by those names, so it runs at the top.
function(uarena_bpf_object name source)
  get_filename_component(src ${source} ABSOLUTE)
  set(out ${UARENA_BPF_DIR}/${name}.bpf.o)
  add_custom_command(
    OUTPUT ${out}
    COMMAND ${UARENA_BPF_CLANG} -target bpf -mcpu=v4 -O2 -g -Wall -Wextra -Wno-unused-parameter -Werror
            -ffile-prefix-map=${PROJECT_SOURCE_DIR}/=./ -I${PROJECT_SOURCE_DIR}/ipc/client/include -MD -MF ${out}.d -c ${src} -o ${out}
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
    DEPENDS ${src}
    DEPFILE ${out}.d
    COMMENT "BPF ${name}.bpf.o"
    VERBATIM)
  add_custom_target(${name}_bpf ALL DEPENDS ${out})
endfunction()
