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

# A release is laid out by a profile: which branches the traffic of a usual day takes. tools/build.sh makes it first, in a
# build of its own that counts (docs/decisions/trained-release.md). Code that changed since has none, which is no fault.
set(WEIR_PROFILE "" CACHE PATH "Folder of the profile")
option(WEIR_COUNT "Count into the profile" OFF)
if(WEIR_PROFILE)
  include(CheckCCompilerFlag)
  check_c_compiler_flag(-fprofile-prefix-path=/ WEIR_HAS_profiles) # gcc 12
endif()
function(weir_train target)
  if(WEIR_HAS_profiles AND WEIR_COUNT)
    target_compile_options(${target} PRIVATE -fprofile-generate=${WEIR_PROFILE} -fprofile-prefix-path=${CMAKE_BINARY_DIR})
    target_link_options(${target} PUBLIC -fprofile-generate=${WEIR_PROFILE})
  elseif(WEIR_HAS_profiles)
    target_compile_options(${target} PRIVATE -fprofile-use=${WEIR_PROFILE} -fprofile-prefix-path=${CMAKE_BINARY_DIR}
      -fprofile-partial-training -Wno-missing-profile -Wno-coverage-mismatch)
  endif()
endfunction()
