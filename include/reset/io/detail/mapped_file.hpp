/// @file
/// A file mapped read-only into memory.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>
#include <utility>

#include <reset/io/detail/message.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// Throws in the words of the operating system's last error.
[[noreturn]] inline void fail_errno(const std::string& path, const char* action) {
  throw Error(path + ": cannot " + action + " it: " + std::strerror(errno));
}

/// A POSIX file descriptor that closes itself.
class FileDescriptor {
 public:
  explicit FileDescriptor(int descriptor) noexcept : descriptor_(descriptor) {}
  FileDescriptor(FileDescriptor&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~FileDescriptor() { close(); }

  int get() const noexcept { return descriptor_; }

  /// Whether it was closed without an error; a full disk may be reported only here.
  bool close() noexcept { return descriptor_ < 0 || ::close(std::exchange(descriptor_, -1)) == 0; }

 private:
  int descriptor_;
};

/// Owns the mapping of one regular file. An empty file has no bytes and a null pointer.
class MappedFile {
 public:
  explicit MappedFile(const std::string& path) {
    // Without O_NONBLOCK a named pipe would be waited for before it can be refused.
    const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (file.get() < 0) fail_errno(path, "open");
    struct stat status = {};
    if (::fstat(file.get(), &status) != 0) fail_errno(path, "stat");
    if (!S_ISREG(status.st_mode)) fail(path, "it", S_ISDIR(status.st_mode) ? "a folder" : "no file", "a regular file");
    size_ = static_cast<std::size_t>(status.st_size);
    if (size_ == 0) return;
    void* mapping = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.get(), 0);
    if (mapping == MAP_FAILED) fail_errno(path, "map");
    data_ = static_cast<const char*>(mapping);
  }
  MappedFile(MappedFile&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  MappedFile& operator=(MappedFile&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~MappedFile() {
    if (data_ != nullptr) ::munmap(const_cast<char*>(data_), size_);
  }

  const char* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }

 private:
  const char* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace detail
RESET_NAMESPACE_END
