# The targets of the build tree: reset::host always, the others as far as what they need is on this machine.
include(GNUInstallDirs)

add_library(reset_host INTERFACE)
add_library(reset::host ALIAS reset_host)
set_target_properties(reset_host PROPERTIES EXPORT_NAME host)
target_compile_features(reset_host INTERFACE cxx_std_17)
target_include_directories(
  reset_host INTERFACE "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>"
                       "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")

# Whoever adds this project as a subdirectory links reset::io or reset::reset from another directory, so what they stand
# on has to be visible there.
set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL TRUE)
set(reset_imported_scope GLOBAL)
set(reset_wanted io reset)
include("${CMAKE_CURRENT_LIST_DIR}/reset-optional-targets.cmake")
unset(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL)
