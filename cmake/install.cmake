# `make install`: the program, the library with its headers and pkg-config file, man pages, completion, systemd unit.
include(GNUInstallDirs)
if(TARGET weir_cli)
  install(TARGETS weir_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
# Where `weir envoy` looks for it, beside the program's folder.
install(TARGETS weir_envoy LIBRARY DESTINATION lib/weir)
install(TARGETS weir ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY src/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/weir FILES_MATCHING PATTERN "*.h" PATTERN "*.def"
        PATTERN "host" EXCLUDE PATTERN "cli" EXCLUDE)
# The prefix is the one given at install time, so these files are made then.
install(CODE "
  file(READ \"${CMAKE_SOURCE_DIR}/cmake/weir.pc.in\" text)
  string(REPLACE \"@PREFIX@\" \"\${CMAKE_INSTALL_PREFIX}\" text \"\${text}\")
  string(REPLACE \"@LIBDIR@\" \"${CMAKE_INSTALL_LIBDIR}\" text \"\${text}\")
  string(REPLACE \"@INCLUDEDIR@\" \"${CMAKE_INSTALL_INCLUDEDIR}\" text \"\${text}\")
  string(REPLACE \"@VERSION@\" \"${PROJECT_VERSION}\" text \"\${text}\")
  file(WRITE \"${CMAKE_BINARY_DIR}/weir.pc\" \"\${text}\")
  file(READ \"${CMAKE_SOURCE_DIR}/cmake/weir.service.in\" text)
  string(REPLACE \"@BINDIR@\" \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}\" text \"\${text}\")
  file(WRITE \"${CMAKE_BINARY_DIR}/weir.service\" \"\${text}\")
")
install(FILES ${CMAKE_BINARY_DIR}/weir.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES ${CMAKE_BINARY_DIR}/weir.service DESTINATION lib/systemd/system)
install(DIRECTORY docs/man/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 FILES_MATCHING PATTERN "*.1")
install(FILES docs/completion/weir.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME weir)
install(DIRECTORY examples/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples FILES_MATCHING PATTERN "*.yaml")
