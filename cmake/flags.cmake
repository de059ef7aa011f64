# Warnings from the first day, hardening in release, sanitizers when asked for.
set(CMAKE_POSITION_INDEPENDENT_CODE ON) # programs against exploits, the core because it also stands in a module
add_library(weir_flags INTERFACE)
target_compile_options(weir_flags INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wvla
  -Wformat=2 -Wwrite-strings -Wcast-qual -Wimplicit-fallthrough -Wnull-dereference -fno-strict-aliasing
  -fno-omit-frame-pointer)
if(WEIR_WERROR)
  target_compile_options(weir_flags INTERFACE -Werror)
endif()
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  target_compile_options(weir_flags INTERFACE -Wduplicated-cond -Wlogical-op)
endif()
if(WEIR_SANITIZE)
  target_compile_options(weir_flags INTERFACE -fsanitize=${WEIR_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(weir_flags INTERFACE -fsanitize=${WEIR_SANITIZE})
elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_options(weir_flags INTERFACE -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection)
  # Not every compiler and processor has these (clang 14 hides the second one).
  include(CheckCCompilerFlag)
  foreach(flag -fcf-protection=full -ftrivial-auto-var-init=zero)
    string(MAKE_C_IDENTIFIER "WEIR_HAS${flag}" has)
    check_c_compiler_flag(${flag} ${has})
    if(${has})
      target_compile_options(weir_flags INTERFACE ${flag})
    endif()
  endforeach()
  target_link_options(weir_flags INTERFACE $<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:-pie> -Wl,-z,relro,-z,now)
  # Relocations of our tables in an eightieth of the space: they are all read, and so resident, when a program starts.
  include(CheckLinkerFlag)
  check_linker_flag(C -Wl,-z,pack-relative-relocs WEIR_HAS_packed_relocations)
  if(WEIR_HAS_packed_relocations)
    target_link_options(weir_flags INTERFACE $<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:-Wl,-z,pack-relative-relocs>)
  endif()
endif()

# A release of weir is optimised as a whole when it is linked: its rooms are many small functions. The objects keep their
# ordinary code too, with which tests and tools are linked (quickly), see weir_link_plainly.
option(WEIR_LTO "Optimise the program as a whole (release builds with gcc)" ON)
if(WEIR_LTO AND CMAKE_C_COMPILER_ID STREQUAL "GNU" AND CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT WEIR_SANITIZE)
  set(WEIR_WHOLE_PROGRAM ON)
  target_compile_options(weir_flags INTERFACE -flto -ffat-lto-objects)
endif()
function(weir_link_whole target)
  if(WEIR_WHOLE_PROGRAM)
    target_link_options(${target} PRIVATE -flto=auto)
  endif()
endfunction()
function(weir_link_plainly target)
  if(WEIR_WHOLE_PROGRAM)
    target_compile_options(${target} PRIVATE -fno-lto)
    target_link_options(${target} PRIVATE -fno-lto)
  endif()
endfunction()
