/// @file
/// A file that gets its name only when it is whole.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>

#include <reset/io/detail/mapped_file.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// Written under a temporary name in the same folder; `commit()` renames it, the destructor removes it otherwise.
class PartialFile {
 public:
  explicit PartialFile(std::string path) : path_(std::move(path)), file_(create()) {}
  PartialFile(PartialFile&& other) noexcept
      : path_(std::move(other.path_)),
        temporary_path_(std::exchange(other.temporary_path_, {})),
        file_(std::move(other.file_)) {}
  PartialFile& operator=(PartialFile&&) = delete;
  ~PartialFile() {
    if (!temporary_path_.empty()) std::remove(temporary_path_.c_str());
  }

  /// The name it will have.
  const std::string& path() const noexcept { return path_; }

  void write_at(std::uint64_t offset, const void* data, std::size_t bytes) {
    const char* from = static_cast<const char*>(data);
    while (bytes > 0) {
      const ssize_t written = ::pwrite(file_.get(), from, bytes, static_cast<off_t>(offset));
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) fail_errno(path_, "write");
      from += written;
      offset += static_cast<std::uint64_t>(written);
      bytes -= static_cast<std::size_t>(written);
    }
  }

  /// Renames; before that the data reach the disk, so that not even a power failure leaves half a file under the name.
  void commit() {
    if (::fsync(file_.get()) != 0 || !file_.close() || std::rename(temporary_path_.c_str(), path_.c_str()) != 0) {
      fail_errno(path_, "write");
    }
    temporary_path_.clear();
  }

 private:
  FileDescriptor create() {
    for (int attempt = 0; attempt < 1000; ++attempt) {
      temporary_path_ = path_ + ".partial-" + std::to_string(::getpid()) + "-" + std::to_string(attempt);
      FileDescriptor file(::open(temporary_path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
      if (file.get() >= 0) return file;
      if (errno != EEXIST) break;
    }
    fail_errno(path_, "create");
  }

  std::string path_;
  std::string temporary_path_;
  FileDescriptor file_;
};

}  // namespace detail
RESET_NAMESPACE_END
