# Programs that measure. Built on request only: `cmake --build --preset release --target json_bench`.
pkg_check_modules(YYJSON IMPORTED_TARGET yyjson)
if(YYJSON_FOUND)
  add_executable(json_bench EXCLUDE_FROM_ALL ${CMAKE_SOURCE_DIR}/bench/json_bench.c)
  target_link_libraries(json_bench PRIVATE weir PkgConfig::YYJSON)
endif()
add_executable(route_bench EXCLUDE_FROM_ALL ${CMAKE_SOURCE_DIR}/bench/route_bench.c)
target_link_libraries(route_bench PRIVATE weir)
