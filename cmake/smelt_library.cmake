# The flags of every smelt target: warnings, errors in CI, sanitizers, library assertions outside release.
function(smelt_target_options target)
  target_compile_options(${target} PRIVATE
    -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wold-style-cast -Wnon-virtual-dtor
    -fvisibility=hidden -ffp-contract=off)
  # g++ 12 sees uninitialized members in moved-from aggregates where there are none, with optimization only.
  target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  if(SMELT_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  target_compile_definitions(${target} PRIVATE $<$<NOT:$<CONFIG:Release>>:_GLIBCXX_ASSERTIONS>)
  if(SMELT_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=address,undefined -fno-sanitize-recover=all)
    target_link_options(${target} PRIVATE -fsanitize=address,undefined)
  endif()
  if(SMELT_FUZZ)
    target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link)
  endif()
endfunction()

# smelt_library(name SOURCES ... PUBLIC targets... PRIVATE targets...)
# A static library, aliased smelt::name. Its include roots are src/ and include/; its links say which part may see which.
function(smelt_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(smelt_${name} STATIC ${ARG_SOURCES})
  add_library(smelt::${name} ALIAS smelt_${name})
  target_include_directories(smelt_${name}
    PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>
    PRIVATE ${PROJECT_SOURCE_DIR}/src
    INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src>)
  set_target_properties(smelt_${name} PROPERTIES EXPORT_NAME ${name})
  target_link_libraries(smelt_${name} PUBLIC ${ARG_PUBLIC} PRIVATE ${ARG_PRIVATE} fmt::fmt)
  smelt_target_options(smelt_${name})
endfunction()
