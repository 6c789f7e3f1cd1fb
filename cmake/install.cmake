# `cmake --install`: what an installed uarena consists of. Programs, the client library with all that
# a program needs to be built against it, the systemd units, manual pages and documents.
#
# The place is decided when it is installed (--prefix, DESTDIR), not when it is configured: the CMake
# package and the pkg-config file find their prefix from where they lie, and the units, which need
# absolute paths, are written at that moment (cmake/install_units.cmake.in).
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(UARENA_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/uarena)
set(UARENA_UNIT_DIR lib/systemd/system CACHE STRING "Where systemd's units go, below the prefix")
set(UARENA_SYSUSERS_DIR lib/sysusers.d CACHE STRING "Where sysusers.d files go, below the prefix")
set(UARENA_TMPFILES_DIR lib/tmpfiles.d CACHE STRING "Where tmpfiles.d files go, below the prefix")
set(UARENA_UDEV_RULES_DIR lib/udev/rules.d CACHE STRING "Where udev's rules go, below the prefix")

# Everything that has to be built for `cmake --install`.
set(UARENA_INSTALLED_TARGETS uarenad uarena_cli uarenafs uarena uarena_static uarena_start)

# Programs.
install(TARGETS uarenad uarena_cli uarenafs RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS uarena_start RUNTIME DESTINATION ${CMAKE_INSTALL_LIBEXECDIR})

# The library: for the linker, for CMake, for pkg-config, and for BPF programs a header.
install(TARGETS uarena uarena_static EXPORT uarenaTargets
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
        INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ipc/client/include/uarena.h ipc/client/include/uarena.hpp
              ipc/client/include/uarena_bpf.h ipc/client/include/uarena_bpf_helpers.h
              ipc/client/include/uarena_bpf_contexts.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT uarenaTargets NAMESPACE uarena:: DESTINATION ${UARENA_CMAKE_DIR})
configure_package_config_file(cmake/uarenaConfig.cmake.in ${CMAKE_BINARY_DIR}/uarenaConfig.cmake
                              INSTALL_DESTINATION ${UARENA_CMAKE_DIR})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/uarenaConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/uarenaConfig.cmake ${CMAKE_BINARY_DIR}/uarenaConfigVersion.cmake
        DESTINATION ${UARENA_CMAKE_DIR})
file(RELATIVE_PATH UARENA_PREFIX_FROM_PC /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
string(REGEX REPLACE "/$" "" UARENA_PREFIX_FROM_PC ${UARENA_PREFIX_FROM_PC})
configure_file(cmake/uarena.pc.in ${CMAKE_BINARY_DIR}/uarena.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/uarena.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# The system's services.
configure_file(cmake/install_units.cmake.in ${CMAKE_BINARY_DIR}/install_units.cmake @ONLY)
install(SCRIPT ${CMAKE_BINARY_DIR}/install_units.cmake)
install(FILES systemd/sysusers.d/uarena.conf DESTINATION ${UARENA_SYSUSERS_DIR})
install(FILES systemd/tmpfiles.d/uarena.conf DESTINATION ${UARENA_TMPFILES_DIR})
install(FILES systemd/udev/60-uarena.rules DESTINATION ${UARENA_UDEV_RULES_DIR})

# For people.
file(GLOB pages RELATIVE ${PROJECT_SOURCE_DIR} CONFIGURE_DEPENDS docs/man/*.[1-8])
foreach(page IN LISTS pages)
  string(REGEX MATCH "[1-8]$" section ${page})
  install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endforeach()
file(GLOB documents RELATIVE ${PROJECT_SOURCE_DIR} CONFIGURE_DEPENDS docs/*.md)
install(FILES README.md ARCHITECTURE.md CHANGELOG.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES ${documents} DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs)

# uarena_stage: an installation in build/<preset>/stage, for machines that are made from it
# (tools/machine).
set(UARENA_STAGE_DIR ${CMAKE_BINARY_DIR}/stage)
file(GLOB_RECURSE installed_files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/systemd/*
     ${PROJECT_SOURCE_DIR}/docs/* ${PROJECT_SOURCE_DIR}/ipc/client/include/*)
add_custom_command(
  OUTPUT ${UARENA_STAGE_DIR}.stamp
  COMMAND ${CMAKE_COMMAND} -E rm -rf ${UARENA_STAGE_DIR}
  COMMAND ${CMAKE_COMMAND} -E env DESTDIR=${UARENA_STAGE_DIR} ${CMAKE_COMMAND} --install ${CMAKE_BINARY_DIR}
          --prefix /usr/local > ${UARENA_STAGE_DIR}.log
  COMMAND ${CMAKE_COMMAND} -E touch ${UARENA_STAGE_DIR}.stamp
  DEPENDS ${UARENA_INSTALLED_TARGETS} ${installed_files} ${PROJECT_SOURCE_DIR}/cmake/install_units.cmake.in
  COMMENT "Installing into ${UARENA_STAGE_DIR}"
  VERBATIM)
add_custom_target(uarena_stage DEPENDS ${UARENA_STAGE_DIR}.stamp)
