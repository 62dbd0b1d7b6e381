/// @file
/// The device sampler as a plain C++ compiler sees it: its memory, its handle, and what one call is. The launchers are
/// in `reset_sampler.cuh`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <reset/sampler/detail/device_memory.hpp>
#include <reset/sampler/reset_sampler.hpp>
#include <reset/sampler/streaming_quantile.hpp>

RESET_NAMESPACE_BEGIN

/// Samples on the device, on the stream of each call.
struct DeviceBackend {};

/// What the launchers know of a device: `sampler_prepare` fills it, once a device.
struct SamplerDevice {
  int device = 0;    ///< The ordinal.
  int arch = 0;      ///< The target that the kernels run as were compiled for, ten times its version: 90 for sm_90.
  int sm_count = 0;  ///< Multiprocessors.
};

/// Where the entropies of committed rows are counted, for tau_0, while the detector says active, those of requests with
/// ReSET disabled too: in one place, or in one for each slot. The counts are in device memory and the engine's to clear
/// (to zeros) and to copy back; see StreamingQuantile.
struct SlotQuantiles {
  StreamingQuantile* data = nullptr;  ///< One, or as many as there are slots; null counts nowhere.
  bool per_slot = false;              ///< Whether slot s has data[s].
};

/// One call: `count` rows of logits, and where their tokens go. All pointers are of the device. Rows and slots must not
/// change while it runs.
template <class T>
struct SamplerCall {
  static_assert(is_logit_v<T>, "logits are float, Half or BFloat16");
  const T* logits = nullptr;         ///< Row i at logits + i row_stride, of any alignment that T has.
  const SamplerRow* rows = nullptr;  ///< Whose row i is; in any order. Positions may be kNextPosition - i.
  std::int32_t count = 0;            ///< Rows, 0..max_rows.
  std::int32_t* tokens = nullptr;    ///< Where not null, token i; kPlaceholderToken where none was drawn.
  SampledToken* results = nullptr;   ///< Where not null, everything about row i.
  /// For `sampler_step` of drafted tokens by rejection; null matches them with the slot's own samples.
  /// draft_probabilities[i vocabulary + v] is the probability of token v in what the token drafted behind row i was
  /// drawn from, by the drafter's own temperature and truncation; its rows are not `row_stride` apart, and not read
  /// where nothing is drafted. A draft of probability 0 is accepted where p gives it any, one of NaN never. What is
  /// negative counts as 0, and so does NaN in what p leaves above it once a draft is rejected.
  const float* draft_probabilities = nullptr;
  SlotQuantiles quantiles = {};  ///< For `sampler_step`: where entropies are counted.
  /// Where not null, the rows that H_t is of, as they lie at `logits`: those of the model where `logits` are masked or
  /// penalised. H_t, and with it the policy, what is counted and early stop, is that of row i here; everything else
  /// about row i is of `logits`. A row that is bad in either is bad. Needs a sampler with `config.entropy_logits`.
  const T* entropy_logits = nullptr;
};

/// What of the applied rows is kept: for each i below `count`, the first counts[i] rows of slots[i]. All pointers are
/// of the device; a slot stands at most once. An entry that its slot cannot take (no request, more rows than were
/// applied, a token outside the vocabulary) changes nothing.
struct SamplerCommit {
  const std::int32_t* slots = nullptr;   ///< Slots.
  const std::int32_t* counts = nullptr;  ///< Rows of each: accepted drafts + 1; 0 drops them all.
  /// Where not null, the tokens that were settled on, those of entry i from i rows_per_slot on. Otherwise the drafted
  /// ones, and the sampled one at the end.
  const std::int32_t* tokens = nullptr;
  std::int32_t count = 0;        ///< Entries.
  SlotQuantiles quantiles = {};  ///< Where entropies are counted.
};

/// How a call is spread over the device. It changes no bit of any result.
struct SamplerPolicy {
  int parts = 0;        ///< CTAs of a row, 1..256; 0 chooses. One where there are more rows than multiprocessors.
  int chunk_warps = 0;  ///< Warps that share a chunk of 1,024 logits, 1 or 4 (1 with `entropy_logits`); 0 chooses.
};

/// How a call is launched.
struct SamplerLaunch {
  /// Programmatic dependent launch: the kernel may begin while the one before it in the stream still runs, and waits
  /// for its end before it reads or writes anything. Needs compute capability 9.0. With it or without, the sampler lets
  /// a dependent behind it begin early: such a kernel has to wait in its turn (`griddepcontrol.wait`) before it reads
  /// tokens, and in any case before it ends.
  bool dependent_launch = false;
  SamplerPolicy policy;  ///< How the work is spread.
};

/// The device sampler: a handle, trivially copyable, of a detector and memory that the engine owns.
///
/// Slots, requests and results are those of the host sampler; see there. The launchers `sampler_initialize`,
/// `sampler_add`, `sampler_update`, `sampler_step`, `sampler_apply`, `sampler_commit`, `sampler_export` and
/// `sampler_import` of `reset_sampler.cuh` take it. They are ordered by their streams: calls that share a sampler must
/// not run at the same time.
template <class Detector>
class ReSETSampler<Detector, DeviceBackend> {
  static_assert(require_step_detector<Detector>());

 public:
  /// A slot's memory, for export and import: the one of the host sampler.
  using State = SlotState<typename Detector::State>;

  /// The bytes that a sampler needs on the device for calls of at most `max_rows` rows, or an `Error`.
  static std::size_t memory_bytes(const SamplerConfig& config, std::int32_t max_rows) {
    throw_if_failed(validate(config, max_rows));
    return Memory::layout(config, max_rows).bytes;
  }

  /// A sampler in `memory`: memory_bytes(config, max_rows) bytes of device memory, aligned to 256, that
  /// `sampler_initialize` makes ready. Tables that `detector` views must be in device memory. Throws `Error` for
  /// arguments outside their domain, a device that `sampler_prepare` has not filled among them.
  ReSETSampler(const SamplerConfig& config, std::int32_t max_rows, const SamplerDevice& device, void* memory,
               Detector detector = Detector())
      : config_(config), max_rows_(max_rows), device_(device), memory_(memory), detector_(detector) {
    throw_if_failed(validate(config, max_rows));
    throw_if_failed(detail::detector_fits(detector_, config.vocabulary));
    if (device.sm_count < 1) {
      throw Error(
          Status(StatusCode::kInvalidArgument, "device.sm_count", device.sm_count, "what sampler_prepare finds"));
    }
    if (memory == nullptr) throw Error(Status(StatusCode::kInvalidArgument, "memory", 0, "not null"));
    const std::uintptr_t remainder = reinterpret_cast<std::uintptr_t>(memory) % detail::kMemoryAlignment;
    if (remainder == 0) return;
    throw Error(Status(StatusCode::kInvalidArgument, "memory", remainder,
                       "an address that 256 divides (the value is the remainder)"));
  }

  /// Whether a sampler of this shape can be: names the first argument that is outside its domain.
  static Status validate(const SamplerConfig& config, std::int32_t max_rows) noexcept {
    const Status status = config.validate();
    if (!status.ok()) return status;
    if (config.vocabulary > kMaxDeviceVocabulary) {
      return {StatusCode::kUnsupported, "vocabulary", config.vocabulary, "at most 262144 on the device"};
    }
    if (max_rows < 1 || max_rows > kMaxDeviceRows) {
      return {StatusCode::kInvalidArgument, "max_rows", max_rows, "1..65535"};
    }
    return {};
  }

  /// The configuration it was made with.
  const SamplerConfig& config() const noexcept { return config_; }
  /// Most rows of a call.
  std::int32_t max_rows() const noexcept { return max_rows_; }
  /// The device it is on.
  const SamplerDevice& device() const noexcept { return device_; }
  /// The detector.
  const Detector& detector() const noexcept { return detector_; }
  /// Its memory.
  void* memory() const noexcept { return memory_; }

  /// Most logits of a row, and most rows of a call.
  static constexpr std::int32_t kMaxDeviceVocabulary = 262144;
  static constexpr std::int32_t kMaxDeviceRows = 65535;  ///< Most rows of a call.

 private:
  using Memory = detail::SamplerMemory<typename Detector::State>;

  SamplerConfig config_;
  std::int32_t max_rows_;
  SamplerDevice device_;
  void* memory_;
  Detector detector_;
};

RESET_NAMESPACE_END
