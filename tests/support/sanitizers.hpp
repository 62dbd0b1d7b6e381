// Whether the tests are built under AddressSanitizer, which GCC and Clang tell in different ways.
#pragma once

#if defined(__SANITIZE_ADDRESS__)
#define RESET_TEST_ADDRESS_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RESET_TEST_ADDRESS_SANITIZER
#endif
#endif
