#pragma once

/// The version of smelt, as `smelt --version` prints it. CMakeLists.txt states the same; a test compares them.
#define SMELT_VERSION "0.1.0"
