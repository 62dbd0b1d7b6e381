# The installed package: headers, CMake configuration, pkg-config files. All of it is independent of the architecture.
include(CMakePackageConfigHelpers)

set(reset_cmake_dir "${CMAKE_INSTALL_DATADIR}/cmake/reset")

install(DIRECTORY include/reset DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.hpp" PATTERN "*.cuh")

install(TARGETS reset_host EXPORT reset-targets)
install(EXPORT reset-targets NAMESPACE reset:: DESTINATION "${reset_cmake_dir}")
configure_package_config_file(cmake/reset-config.cmake.in reset-config.cmake INSTALL_DESTINATION "${reset_cmake_dir}")
write_basic_package_version_file(reset-config-version.cmake COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES "${PROJECT_BINARY_DIR}/reset-config.cmake" "${PROJECT_BINARY_DIR}/reset-config-version.cmake"
              cmake/reset-optional-targets.cmake DESTINATION "${reset_cmake_dir}")

# Absolute folders (as some distributions give) stay what they are; relative ones move with the package.
set(reset_pc_prefix "${CMAKE_INSTALL_PREFIX}")
if(NOT IS_ABSOLUTE "${CMAKE_INSTALL_DATADIR}")
  file(RELATIVE_PATH reset_pc_up "/prefix/${CMAKE_INSTALL_DATADIR}/pkgconfig" "/prefix")
  set(reset_pc_prefix "\${pcfiledir}/${reset_pc_up}")
endif()
set(reset_pc_includedir "${CMAKE_INSTALL_INCLUDEDIR}")
if(NOT IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
  set(reset_pc_includedir "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
endif()
foreach(module IN ITEMS reset reset-io)
  configure_file(cmake/${module}.pc.in ${module}.pc @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/${module}.pc" DESTINATION "${CMAKE_INSTALL_DATADIR}/pkgconfig")
endforeach()
