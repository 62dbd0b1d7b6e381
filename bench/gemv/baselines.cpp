#include "baselines.hpp"

#include <cstdio>
#include <cstdlib>

#include "timing.hpp"

namespace bench {
namespace {

constexpr std::size_t kWorkspaceBytes = std::size_t{32} << 20;
constexpr int kHeuristics = 8;

void check(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  std::fprintf(stderr, "%s: %s\n", what, cublasGetStatusString(status));
  std::exit(1);
}
#define CHECK_CUBLAS(call) check(call, #call)

template <class Value>
void set(cublasLtMatmulDesc_t descriptor, cublasLtMatmulDescAttributes_t attribute, const Value& value) {
  CHECK_CUBLAS(cublasLtMatmulDescSetAttribute(descriptor, attribute, &value, sizeof value));
}

}  // namespace

// cuBLAS counts columns first: what is N x K row by row is K x N to it, so W is its A, transposed, x its B, y its C.
struct LtDescriptors {
  LtDescriptors(const Matmul& p, const float* one) {
    const cudaDataType_t type = p.fp8 ? CUDA_R_8F_E4M3 : CUDA_R_16BF;
    CHECK_CUBLAS(cublasLtMatmulDescCreate(&operation, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    set(operation, CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T);
    if (p.fp8) {
      set(operation, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, one);
      set(operation, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, one);
      set(operation, CUBLASLT_MATMUL_DESC_FAST_ACCUM, std::int8_t{1});
    }
    const auto k = static_cast<std::uint64_t>(p.k);
    const auto n = static_cast<std::uint64_t>(p.n);
    const auto m = static_cast<std::uint64_t>(p.m);
    CHECK_CUBLAS(cublasLtMatrixLayoutCreate(&a, type, k, n, p.k));
    CHECK_CUBLAS(cublasLtMatrixLayoutCreate(&b, type, k, m, p.ldx));
    CHECK_CUBLAS(cublasLtMatrixLayoutCreate(&c, CUDA_R_16BF, n, m, p.n));
  }
  ~LtDescriptors() {
    cublasLtMatrixLayoutDestroy(c);
    cublasLtMatrixLayoutDestroy(b);
    cublasLtMatrixLayoutDestroy(a);
    cublasLtMatmulDescDestroy(operation);
  }
  LtDescriptors(const LtDescriptors&) = delete;
  LtDescriptors& operator=(const LtDescriptors&) = delete;

  cublasLtMatmulDesc_t operation = nullptr;
  cublasLtMatrixLayout_t a = nullptr;
  cublasLtMatrixLayout_t b = nullptr;
  cublasLtMatrixLayout_t c = nullptr;
};

Blas::Blas(cudaStream_t stream) : stream_(stream) {
  CHECK_CUDA(cudaMalloc(&workspace_, kWorkspaceBytes));
  CHECK_CUDA(cudaMalloc(reinterpret_cast<void**>(&one_), sizeof(float)));
  const float one = 1;
  CHECK_CUDA(cudaMemcpy(one_, &one, sizeof one, cudaMemcpyHostToDevice));
  CHECK_CUBLAS(cublasCreate(&blas_));
  CHECK_CUBLAS(cublasLtCreate(&lt_));
  CHECK_CUBLAS(cublasSetStream(blas_, stream));  // before the workspace, which it would reset
  CHECK_CUBLAS(cublasSetWorkspace(blas_, workspace_, kWorkspaceBytes));
}

Blas::~Blas() {
  cublasLtDestroy(lt_);
  cublasDestroy(blas_);
  cudaFree(one_);
  cudaFree(workspace_);
}

void Blas::run(const Matmul& p, const void* w, const void* x, void* y) const {
  const float beta = 0;
  CHECK_CUBLAS(cublasGemmEx(blas_, CUBLAS_OP_T, CUBLAS_OP_N, static_cast<int>(p.n), static_cast<int>(p.m),
                            static_cast<int>(p.k), &p.alpha, w, CUDA_R_16BF, static_cast<int>(p.k), x, CUDA_R_16BF,
                            static_cast<int>(p.ldx), &beta, y, CUDA_R_16BF, static_cast<int>(p.n), CUBLAS_COMPUTE_32F,
                            CUBLAS_GEMM_DEFAULT));
}

cublasStatus_t Blas::run(const LtPlan& plan, const void* w, const void* x, void* y) const {
  const LtDescriptors& d = *plan.descriptors;
  const float beta = 0;
  return cublasLtMatmul(lt_, d.operation, &plan.product.alpha, w, d.a, x, d.b, &beta, y, d.c, y, d.c, &plan.algorithm,
                        workspace_, kWorkspaceBytes, stream_);
}

void Blas::run(const Matmul& product, const Bf16Baseline& choice, const void* w, const void* x, void* y) const {
  if (choice.lt_is_faster()) {
    CHECK_CUBLAS(run(*choice.lt, w, x, y));
  } else {
    run(product, w, x, y);
  }
}

std::vector<LtPlan> Blas::heuristics(const Matmul& product) const {
  const auto descriptors = std::make_shared<const LtDescriptors>(product, one_);
  cublasLtMatmulPreference_t preference = nullptr;
  CHECK_CUBLAS(cublasLtMatmulPreferenceCreate(&preference));
  CHECK_CUBLAS(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                    &kWorkspaceBytes, sizeof kWorkspaceBytes));
  cublasLtMatmulHeuristicResult_t results[kHeuristics] = {};
  int count = 0;
  // A shape that is not supported is no error here: there are no plans for it then.
  const cublasStatus_t status =
      cublasLtMatmulAlgoGetHeuristic(lt_, descriptors->operation, descriptors->a, descriptors->b, descriptors->c,
                                     descriptors->c, preference, kHeuristics, results, &count);
  CHECK_CUBLAS(cublasLtMatmulPreferenceDestroy(preference));
  std::vector<LtPlan> plans;
  if (status != CUBLAS_STATUS_SUCCESS) return plans;
  for (int i = 0; i < count; ++i) {
    if (results[i].state == CUBLAS_STATUS_SUCCESS) plans.push_back({product, descriptors, results[i].algo});
  }
  return plans;
}

std::optional<LtPlan> Blas::best(const std::vector<LtPlan>& plans, const Copies& w, const void* x, void* y) const {
  std::optional<LtPlan> best;
  double best_us = 0;
  for (const LtPlan& plan : plans) {
    if (run(plan, w(0), x, y) != CUBLAS_STATUS_SUCCESS) continue;
    const double time = microseconds(
        stream_, [&](int i) { CHECK_CUBLAS(run(plan, w(i), x, y)); }, kQuick);
    if (best && time >= best_us) continue;
    best = plan;
    best_us = time;
  }
  return best;
}

double Blas::measure(const LtPlan& plan, const Copies& w, const void* x, void* y) const {
  return microseconds(stream_, [&](int i) { CHECK_CUBLAS(run(plan, w(i), x, y)); });
}

Bf16Baseline Blas::measure_bf16(const Matmul& product, const Copies& w, const void* x, void* y) const {
  Bf16Baseline result;
  result.default_us = microseconds(stream_, [&](int i) { run(product, w(i), x, y); });
  result.lt = best(heuristics(product), w, x, y);
  if (result.lt) result.lt_us = measure(*result.lt, w, x, y);
  return result;
}

Fp8Baseline Blas::measure_fp8(Matmul product, const Copies& w, const void* x, void* y) const {
  product.fp8 = true;
  std::optional<LtPlan> plan = best(heuristics(product), w, x, y);
  if (!plan && product.m < 16) {
    product.m = 16;
    plan = best(heuristics(product), w, x, y);
  }
  return plan ? Fp8Baseline{measure(*plan, w, x, y), product.m} : Fp8Baseline{};
}

}  // namespace bench
