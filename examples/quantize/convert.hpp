// Quantises one tensor as a stream: two passes over the mapped file, one for the maximum and one for the blocks, in
// pieces whose memory is reused. Peak memory depends on neither the tensor nor the checkpoint.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <reset/io/convention.hpp>
#include <reset/io/safetensors_writer.hpp>
#include <reset/nvfp4/matrix.hpp>

#include "options.hpp"
#include "plan.hpp"

namespace quantize {

// Energy of a tensor and of what quantisation added to it.
struct Energy {
  double signal = 0;
  double noise = 0;

  void add(const Energy& other) {
    signal += other.signal;
    noise += other.noise;
  }
  // Signal to noise in decibels; infinite where nothing was lost.
  double decibels() const;
};

class Converter {
 public:
  // Reports the bytes of the input that were dealt with since the last report.
  using Progress = std::function<void(std::uint64_t bytes)>;

  Converter(const Options& options, Progress progress);

  reset::CheckpointConvention convention() const { return convention_; }

  // What is declared for the tensor in the new file.
  std::vector<reset::TensorSpec> specs(const PlannedTensor& planned) const;

  // Writes the quantised tensor. Throws reset::Error for a value that is not finite, naming file, tensor, row and
  // column.
  Energy quantise(const PlannedTensor& planned, reset::SafetensorsWriter& writer);
  // Writes the tensor as it is.
  void copy(const PlannedTensor& planned, reset::SafetensorsWriter& writer);

 private:
  // Rows of the input that fit one piece.
  std::int64_t piece_rows(const reset::TensorView& tensor) const;
  void read(const reset::TensorView& tensor, std::int64_t first_row, std::int64_t rows);
  void drop(const reset::TensorView& tensor, std::uint64_t begin, std::uint64_t end) const;
  float maximum(const reset::TensorView& tensor);
  Energy quantise_piece(std::int64_t rows, std::int64_t cols, reset::GlobalScale global);
  Energy quantise_slice(std::int64_t first, std::int64_t rows, const reset::Nvfp4MutableMatrixView& piece) const;

  Rule rule_;
  reset::CheckpointConvention convention_;
  Progress progress_;
  std::int64_t threads_;
  std::vector<float> values_;
  std::vector<std::uint8_t> packed_;
  std::vector<std::uint8_t> scales_;
};

}  // namespace quantize
