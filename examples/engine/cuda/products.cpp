#include "products.hpp"

#include <functional>
#include <string>

#include <reset/status.hpp>

namespace engine::cuda {
namespace {

constexpr std::size_t kWorkspaceBytes = std::size_t{32} << 20;
constexpr int kProposals = 8;
constexpr int kTimedLaunches = 24;

void check_blas(cublasStatus_t status, const char* call) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw reset::Error(std::string(call) + " failed: " + cublasGetStatusString(status));
}

// Milliseconds of a few launches, after one that does not count.
double time_of(cudaStream_t stream, const std::function<void(int)>& launch) {
  OwnedEvent begin;
  OwnedEvent end;
  check(cudaEventCreate(begin.out()), "cudaEventCreate");
  check(cudaEventCreate(end.out()), "cudaEventCreate");
  launch(0);
  check(cudaEventRecord(begin, stream), "cudaEventRecord");
  for (int i = 1; i <= kTimedLaunches; ++i) launch(i);
  check(cudaEventRecord(end, stream), "cudaEventRecord");
  check(cudaEventSynchronize(end), "cudaEventSynchronize");
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, begin, end), "cudaEventElapsedTime");
  return static_cast<double>(milliseconds);
}

}  // namespace

// cuBLAS counts columns first: what is N x K row by row is K x N to it, so W is its A, transposed, x its B, y its C.
struct Products::Plan {
  void describe(const ProductShape& shape) {
    const auto n = static_cast<std::uint64_t>(shape.n);
    const auto k = static_cast<std::uint64_t>(shape.k);
    const auto m = static_cast<std::uint64_t>(shape.m);
    check_blas(cublasLtMatmulDescCreate(operation.out(), CUBLAS_COMPUTE_32F, CUDA_R_32F), "cublasLtMatmulDescCreate");
    const cublasOperation_t transposed = CUBLAS_OP_T;
    check_blas(cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed),
               "cublasLtMatmulDescSetAttribute");
    check_blas(cublasLtMatrixLayoutCreate(a.out(), CUDA_R_16BF, k, n, shape.k), "cublasLtMatrixLayoutCreate");
    check_blas(cublasLtMatrixLayoutCreate(b.out(), CUDA_R_16BF, k, m, shape.k), "cublasLtMatrixLayoutCreate");
    check_blas(cublasLtMatrixLayoutCreate(c.out(), shape.float_output ? CUDA_R_32F : CUDA_R_16BF, n, m, shape.n),
               "cublasLtMatrixLayoutCreate");
    beta = shape.accumulate ? 1.0F : 0.0F;
  }

  using Layout = Owned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
  Owned<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy> operation;
  Layout a;
  Layout b;
  Layout c;
  cublasLtMatmulAlgo_t algorithm = {};
  float beta = 0;
};

Products::Products(cudaStream_t stream) : stream_(stream), workspace_(kWorkspaceBytes) {
  check_blas(cublasCreate(blas_.out()), "cublasCreate");
  check_blas(cublasLtCreate(lt_.out()), "cublasLtCreate");
  check_blas(cublasSetStream(blas_, stream), "cublasSetStream");  // before the workspace, which it would reset
  check_blas(cublasSetWorkspace(blas_, workspace_.data(), kWorkspaceBytes), "cublasSetWorkspace");
}

void Products::run_default(const ProductShape& shape, const __nv_bfloat16* w, const void* x, void* y) const {
  const float one = 1;
  const float beta = shape.accumulate ? 1.0F : 0.0F;
  const auto n = static_cast<int>(shape.n);
  const auto k = static_cast<int>(shape.k);
  check_blas(cublasGemmEx(blas_, CUBLAS_OP_T, CUBLAS_OP_N, n, static_cast<int>(shape.m), k, &one, w, CUDA_R_16BF, k, x,
                          CUDA_R_16BF, k, &beta, y, shape.float_output ? CUDA_R_32F : CUDA_R_16BF, n,
                          CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
             "cublasGemmEx");
}

cublasStatus_t Products::run(const Plan& plan, const __nv_bfloat16* w, const void* x, void* y) const {
  const float one = 1;
  return cublasLtMatmul(lt_, plan.operation, &one, w, plan.a, x, plan.b, &plan.beta, y, plan.c, y, plan.c,
                        &plan.algorithm, workspace_.data(), kWorkspaceBytes, stream_);
}

void Products::multiply(const ProductShape& shape, const __nv_bfloat16* w, const void* x, void* y) const {
  const auto found = plans_.find(shape);
  if (found == plans_.end() || found->second == nullptr) return run_default(shape, w, x, y);
  check_blas(run(*found->second, w, x, y), "cublasLtMatmul");
}

std::vector<std::shared_ptr<const Products::Plan>> Products::proposals(const ProductShape& shape) const {
  Plan probe;
  probe.describe(shape);
  Owned<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy> preference;
  check_blas(cublasLtMatmulPreferenceCreate(preference.out()), "cublasLtMatmulPreferenceCreate");
  check_blas(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                  &kWorkspaceBytes, sizeof kWorkspaceBytes),
             "cublasLtMatmulPreferenceSetAttribute");
  cublasLtMatmulHeuristicResult_t results[kProposals] = {};
  int count = 0;
  // No proposal is no error: cublasGemmEx remains.
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(lt_, probe.operation, probe.a, probe.b, probe.c, probe.c,
                                                               preference, kProposals, results, &count);
  std::vector<std::shared_ptr<const Plan>> plans;
  for (int i = 0; status == CUBLAS_STATUS_SUCCESS && i < count; ++i) {
    if (results[i].state != CUBLAS_STATUS_SUCCESS) continue;
    const auto plan = std::make_shared<Plan>();
    plan->describe(shape);
    plan->algorithm = results[i].algo;
    plans.push_back(plan);
  }
  return plans;
}

void Products::tune(const ProductShape& shape, const std::vector<const __nv_bfloat16*>& w, const void* x, void* y) {
  if (plans_.count(shape) != 0) return;
  const auto matrix = [&](int i) { return w[static_cast<std::size_t>(i) % w.size()]; };
  double best = time_of(stream_, [&](int i) { run_default(shape, matrix(i), x, y); });
  std::shared_ptr<const Plan>& choice = plans_[shape];
  for (const auto& plan : proposals(shape)) {
    if (run(*plan, matrix(0), x, y) != CUBLAS_STATUS_SUCCESS) continue;
    const double time = time_of(stream_, [&](int i) { check_blas(run(*plan, matrix(i), x, y), "cublasLtMatmul"); });
    if (time >= best) continue;
    best = time;
    choice = plan;
  }
}

}  // namespace engine::cuda
