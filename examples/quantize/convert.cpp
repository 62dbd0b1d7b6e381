#include "convert.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <future>
#include <limits>
#include <string>
#include <thread>
#include <utility>

#include <reset/nvfp4/e2m1.hpp>
#include <reset/nvfp4/e4m3.hpp>
#include <reset/nvfp4/layout.hpp>
#include <reset/nvfp4/quantize.hpp>
#include <reset/status.hpp>

namespace quantize {
namespace {

constexpr std::int64_t kPieceElements = std::int64_t{1} << 20;
constexpr std::size_t kPieceBytes = std::size_t{1} << 22;

std::size_t size_of(std::int64_t count) { return static_cast<std::size_t>(count); }

// Calls `use` with the rule that was chosen.
template <class Use>
auto with_rule(Rule rule, const Use& use) {
  switch (rule) {
    case Rule::kFourOverSix:
      return use(reset::FourOverSix());
    case Rule::kScaleSweep:
      return use(reset::ScaleSweep());
    default:
      return use(reset::RoundToNearest());
  }
}

// Says which file and tensor an error of the library is about.
template <class Call>
auto in_tensor(const reset::TensorView& tensor, const Call& call) {
  try {
    return call();
  } catch (const reset::Error& error) {
    throw reset::Error(std::string(tensor.file) + ": tensor \"" + tensor.name + "\": " + error.what());
  }
}

// What is in 16 values, and what is lost of them in the block that stores them.
Energy block_energy(const float* values, const reset::Nvfp4MutableMatrixView& piece, std::int64_t row,
                    std::int64_t block) {
  const double scale =
      static_cast<double>(reset::e4m3_to_float(piece.block_scale.data[piece.block_scale.offset(row, block)])) *
      static_cast<double>(piece.global.at(row).value);
  const std::uint8_t* packed =
      piece.packed + row * piece.row_stride + reset::nibble_byte(block * reset::kNvfp4BlockSize);
  Energy energy;
  for (std::int64_t k = 0; k < reset::kNvfp4BlockSize; ++k) {
    const auto code = static_cast<std::uint8_t>(packed[reset::nibble_byte(k)] >> reset::nibble_shift(k) & 15);
    const auto x = static_cast<double>(values[k]);
    const double error = x - static_cast<double>(reset::e2m1_to_float(code)) * scale;
    energy.signal += x * x;
    energy.noise += error * error;
  }
  return energy;
}

}  // namespace

double Energy::decibels() const {
  // The largest double, not infinity, which -ffast-math would be free to break.
  if (!(noise > 0)) return std::numeric_limits<double>::max();
  return 10 * std::log10(signal / noise);
}

Converter::Converter(const Options& options, Progress progress)
    : rule_(options.rule),
      convention_(convention_of(options.format)),
      progress_(std::move(progress)),
      threads_(std::clamp<std::int64_t>(std::thread::hardware_concurrency(), 1, 64)) {}

std::vector<reset::TensorSpec> Converter::specs(const PlannedTensor& planned) const {
  const reset::TensorView& tensor = *planned.tensor;
  if (!planned.quantised()) return {{tensor.name, tensor.dtype, tensor.shape}};
  auto specs = reset::nvfp4_tensor_specs(convention_, planned.module, tensor.shape[0], tensor.shape[1]);
  if (planned.input_scale) {
    reset::TensorSpec spec = specs.back();  // stored as the global scale of the weights is
    spec.name = reset::nvfp4_tensor_names(convention_, planned.module).input_scale;
    specs.push_back(std::move(spec));
  }
  return specs;
}

std::int64_t Converter::piece_rows(const reset::TensorView& tensor) const {
  return std::clamp<std::int64_t>(kPieceElements / tensor.shape[1], 1, tensor.shape[0]);
}

void Converter::read(const reset::TensorView& tensor, std::int64_t first_row, std::int64_t rows) {
  const std::int64_t cols = tensor.shape[1];
  values_.resize(std::max(values_.size(), size_of(rows * cols)));
  reset::read_floats(tensor, first_row * cols, rows * cols, values_.data());
  const std::size_t row_bytes = size_of(cols) * reset::dtype_size(tensor.dtype);
  drop(tensor, size_of(first_row) * row_bytes, size_of(first_row + rows) * row_bytes);
  progress_(size_of(rows) * row_bytes / 2);  // half: each row is read twice
}

// Gives the pages of the mapped file back that lie within the bytes [begin, end) of the tensor; they stay in the page
// cache, but no longer count as memory of this process.
void Converter::drop(const reset::TensorView& tensor, std::uint64_t begin, std::uint64_t end) const {
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto base = reinterpret_cast<std::uintptr_t>(tensor.data);
  // Rounded down at both ends: a page shared with the next piece goes with that one.
  const std::uintptr_t first = (base + begin) / page * page;
  const std::uintptr_t last = (base + end) / page * page;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

float Converter::maximum(const reset::TensorView& tensor) {
  const std::int64_t cols = tensor.shape[1];
  const std::int64_t step = piece_rows(tensor);
  float largest = 0;
  for (std::int64_t row = 0; row < tensor.shape[0]; row += step) {
    const std::int64_t rows = std::min(step, tensor.shape[0] - row);
    read(tensor, row, rows);
    largest =
        std::max(largest, in_tensor(tensor, [&] { return reset::tensor_amax(values_.data(), rows, cols, cols, row); }));
  }
  return largest;
}

Energy Converter::quantise(const PlannedTensor& planned, reset::SafetensorsWriter& writer) {
  const reset::TensorView& tensor = *planned.tensor;
  const std::int64_t cols = tensor.shape[1];
  const reset::GlobalScale wanted =
      with_rule(rule_, [amax = maximum(tensor)](const auto& rule) { return rule.global_scale(amax); });
  const reset::StoredGlobalScale global = reset::store_global_scale(convention_, wanted);
  const reset::Nvfp4TensorNames names = reset::nvfp4_tensor_names(convention_, planned.module);
  writer.append(names.global_scale, &global.on_disk, sizeof global.on_disk);
  if (planned.input_scale) {
    const float on_disk = reset::store_global_scale(convention_, *planned.input_scale).on_disk;
    writer.append(names.input_scale, &on_disk, sizeof on_disk);
  }
  Energy energy;
  const std::int64_t step = piece_rows(tensor);
  for (std::int64_t row = 0; row < tensor.shape[0]; row += step) {
    const std::int64_t rows = std::min(step, tensor.shape[0] - row);
    read(tensor, row, rows);
    energy.add(in_tensor(tensor, [&] { return quantise_piece(rows, cols, global.global); }));
    writer.append(names.packed, packed_.data(), size_of(rows * cols / 2));
    writer.append(names.block_scale, scales_.data(), size_of(rows * cols / reset::kNvfp4BlockSize));
  }
  return energy;
}

// The piece that lies in values_ goes to packed_ and scales_, its rows shared among the threads.
Energy Converter::quantise_piece(std::int64_t rows, std::int64_t cols, reset::GlobalScale global) {
  packed_.resize(std::max(packed_.size(), size_of(rows * cols / 2)));
  scales_.resize(std::max(scales_.size(), size_of(rows * cols / reset::kNvfp4BlockSize)));
  reset::Nvfp4MutableMatrixView piece;
  piece.packed = packed_.data();
  piece.rows = rows;
  piece.cols = cols;
  piece.row_stride = cols / 2;
  piece.block_scale.data = scales_.data();
  piece.block_scale.stride = cols / reset::kNvfp4BlockSize;
  piece.global = reset::FusedGlobalScales::uniform(global);
  const std::int64_t slice = (rows + threads_ - 1) / threads_;
  std::vector<std::future<Energy>> slices;
  for (std::int64_t first = 0; first < rows; first += slice) {
    slices.push_back(
        std::async(std::launch::async, &Converter::quantise_slice, this, first, std::min(slice, rows - first), piece));
  }
  Energy energy;
  for (std::future<Energy>& result : slices) energy.add(result.get());
  return energy;
}

Energy Converter::quantise_slice(std::int64_t first, std::int64_t rows,
                                 const reset::Nvfp4MutableMatrixView& piece) const {
  const float* values = values_.data() + first * piece.cols;
  with_rule(rule_,
            [&](const auto& rule) { reset::quantize_rows(rule, values, piece.cols, first, rows, nullptr, piece); });
  Energy energy;
  for (std::int64_t row = first; row < first + rows; ++row) {
    for (std::int64_t block = 0; block < piece.blocks(); ++block) {
      energy.add(block_energy(values_.data() + row * piece.cols + block * reset::kNvfp4BlockSize, piece, row, block));
    }
  }
  return energy;
}

void Converter::copy(const PlannedTensor& planned, reset::SafetensorsWriter& writer) {
  const reset::TensorView& tensor = *planned.tensor;
  for (std::size_t at = 0; at < tensor.bytes; at += kPieceBytes) {
    const std::size_t bytes = std::min(kPieceBytes, tensor.bytes - at);
    writer.append(tensor.name, tensor.data + at, bytes);
    drop(tensor, at, at + bytes);
    progress_(bytes);
  }
}

}  // namespace quantize
