#include "records.hpp"

#include <cmath>
#include <cstdio>
#include <fstream>
#include <map>
#include <stdexcept>

namespace bench {
namespace {

using nlohmann::ordered_json;

// Null where nothing was measured.
ordered_json measured(double time_us) { return time_us > 0 ? ordered_json(rounded(time_us)) : ordered_json(nullptr); }

std::ofstream open(const std::string& path) {
  std::ofstream file(path);
  if (!file) throw std::runtime_error(path + ": cannot be written");
  return file;
}

// The columns of the table: M, the first one without dependent launch.
constexpr int kPlainOne = 0;
constexpr int kColumns[] = {kPlainOne, 1, 2, 3, 4, 6, 8, 12, 16};

// A number for each column, a dash where there is none.
using Row = std::map<int, double>;

int column(const Case& c) { return c.pdl ? static_cast<int>(c.m) : kPlainOne; }

void print_row(const std::string& label, const Row& row) {
  std::printf("%-50s", label.c_str());
  for (const int c : kColumns) {
    const auto found = row.find(c);
    if (found == row.end()) {
      std::printf("%6s", "-");
    } else {
      std::printf("%6.2f", found->second);
    }
  }
  std::printf("\n");
}

void print_header() {
  std::printf("\nTime over the floor, which stands in front; 1*: without dependent launch\n%-50s%6s", "M", "1*");
  for (const int c : kColumns) {
    if (c != kPlainOne) std::printf("%6d", c);
  }
  std::printf("\n");
}

std::string variant(const Case& c) {
  return std::string(name_of(c.activation)) + (c.layout == reset::ScaleLayout::kLinear ? "" : " swizzled") +
         (c.gate == reset::GemvGate::kNone ? "" : " swiglu");
}

std::string label(const Record& r) {
  char text[96];
  std::snprintf(text, sizeof text, "%s %s %.1f us %s", r.call.layer.model, r.call.layer.name, r.floor_us,
                variant(r.call).c_str());
  return text;
}

struct Mean {
  double logarithms = 0;
  int count = 0;
  void add(double ratio) {
    logarithms += std::log(ratio);
    ++count;
  }
};

// Geometric means over the layers of what `ratio` gives (0: none), for each variant.
template <class Ratio>
void print_means(const char* title, const std::vector<Record>& records, Ratio ratio) {
  std::map<std::string, std::map<int, Mean>> means;
  for (const Record& r : records) {
    if (ratio(r) > 0) means[variant(r.call)][column(r.call)].add(ratio(r));
  }
  for (const auto& [name, columns] : means) {
    Row row;
    for (const auto& [c, mean] : columns) row[c] = std::exp(mean.logarithms / mean.count);
    print_row(std::string(title) + ", " + name, row);
  }
}

}  // namespace

ordered_json to_json(const Record& r) {
  const Case& c = r.call;
  ordered_json json;
  json["model"] = c.layer.model;
  json["layer"] = c.layer.name;
  json["m"] = c.m;
  json["n"] = c.layer.n;
  json["k"] = c.layer.k;
  json["activation"] = name_of(c.activation);
  json["layout"] = name_of(c.layout);
  json["pdl"] = c.pdl;
  json["gate"] = c.gate == reset::GemvGate::kNone ? "none" : "gate_up";
  json["kernel"] = r.kernel;
  json["time_us"] = measured(r.time_us);
  json["any_ahead_us"] = measured(r.any_ahead_us);
  json["prefetched_us"] = measured(r.prefetched_us);
  json["floor_us"] = measured(r.floor_us);
  json["cublas_bf16_us"] = measured(r.bf16.strict_us());
  json["cublas_bf16_default_us"] = measured(r.bf16.default_us);
  json["cublaslt_bf16_us"] = measured(r.bf16.lt_us);
  json["cublaslt_fp8_us"] = measured(r.fp8.time_us);
  json["cublaslt_fp8_m"] = r.fp8.m > 0 ? ordered_json(r.fp8.m) : ordered_json(nullptr);
  json["sm_mhz"] = std::lround(r.sm_mhz);
  return json;
}

void write_records(const std::string& path, const std::vector<ordered_json>& records) {
  std::ofstream file = open(path);
  file << "[";
  const char* separator = "\n";
  for (const ordered_json& record : records) {
    file << separator << record.dump();
    separator = ",\n";
  }
  file << "\n]\n";
}

void write_json(const std::string& path, const ordered_json& value) { open(path) << value.dump(2) << "\n"; }

void print_table(const std::vector<Record>& records) {
  print_header();
  std::vector<std::string> order;
  std::map<std::string, Row> rows;
  for (const Record& r : records) {
    const auto [entry, is_new] = rows.try_emplace(label(r));
    if (is_new) order.push_back(entry->first);
    entry->second[column(r.call)] = r.time_us / r.floor_us;
  }
  for (const std::string& name : order) print_row(name, rows[name]);
  std::printf("Geometric means over the layers\n");
  print_means("time / floor", records, [](const Record& r) { return r.time_us / r.floor_us; });
  print_means("behind any / floor", records, [](const Record& r) { return r.any_ahead_us / r.floor_us; });
  print_means("prefetched / floor", records, [](const Record& r) { return r.prefetched_us / r.floor_us; });
  print_means("cuBLAS BF16 / time", records, [](const Record& r) { return r.bf16.strict_us() / r.time_us; });
  print_means("cuBLASLt FP8 / time", records, [](const Record& r) { return r.fp8.time_us / r.time_us; });
}

}  // namespace bench
