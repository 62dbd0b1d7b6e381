#include "countdown.hpp"

#include <algorithm>
#include <fstream>
#include <optional>

#include <reset/status.hpp>

namespace reasoner {
namespace {

constexpr std::string_view kStepEnd = "\n\n";
constexpr std::string_view kAnswerMark = "ans ";

// Takes an integer off the front of `text`, of so few digits that the product of two of them fits 64 bits.
std::optional<std::int64_t> take_integer(std::string_view& text) {
  constexpr std::size_t kMostDigits = 9;
  std::size_t at = !text.empty() && text.front() == '-' ? 1 : 0;
  const bool negative = at == 1;
  const std::size_t first = at;
  std::int64_t value = 0;
  for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
    if (at - first == kMostDigits) return std::nullopt;
    value = value * 10 + (text[at] - '0');
  }
  if (at == first) return std::nullopt;
  text.remove_prefix(at);
  return negative ? -value : value;
}

bool take(std::string_view& text, char expected) {
  if (text.empty() || text.front() != expected) return false;
  text.remove_prefix(1);
  return true;
}

struct Equation {
  std::int64_t left = 0;
  char operation = '+';
  std::int64_t right = 0;
  std::int64_t result = 0;
};

std::optional<Equation> parse_equation(std::string_view text) {
  Equation equation;
  const auto left = take_integer(text);
  if (!left || text.empty() || std::string_view("+-*/").find(text.front()) == std::string_view::npos) return {};
  equation.left = *left;
  equation.operation = text.front();
  text.remove_prefix(1);
  const auto right = take_integer(text);
  if (!right || !take(text, '=')) return {};
  equation.right = *right;
  const auto result = take_integer(text);
  if (!result || !text.empty()) return {};
  equation.result = *result;
  return equation;
}

bool holds(const Equation& e) {
  switch (e.operation) {
    case '+':
      return e.left + e.right == e.result;
    case '-':
      return e.left - e.right == e.result;
    case '*':
      return e.left * e.right == e.result;
    default:
      return e.right != 0 && e.right * e.result == e.left;
  }
}

bool use_up(std::vector<std::int64_t>& available, std::int64_t number) {
  const auto found = std::find(available.begin(), available.end(), number);
  if (found == available.end()) return false;
  available.erase(found);
  return true;
}

// What is wrong with the equations of `answer`, or nothing.
std::optional<std::string> find_fault(const Problem& problem, std::string_view answer) {
  std::vector<std::int64_t> available = problem.numbers;
  std::int64_t result = 0;
  while (!answer.empty()) {
    const std::size_t comma = answer.find(',');
    const std::string written(answer.substr(0, comma));
    answer.remove_prefix(comma == std::string_view::npos ? answer.size() : comma + 1);
    if (comma != std::string_view::npos && answer.empty()) return "it ends in a comma";
    const auto equation = parse_equation(written);
    if (!equation) return "\"" + written + "\" is not an equation";
    if (equation->operation == '/' && equation->right == 0) return written + " divides by zero";
    if (!holds(*equation)) return written + " is false";
    for (const std::int64_t operand : {equation->left, equation->right}) {
      if (!use_up(available, operand)) return written + " uses " + std::to_string(operand) + ", which is not left";
    }
    result = equation->result;
    available.push_back(result);
  }
  if (result != problem.target) {
    return "it reaches " + std::to_string(result) + ", not " + std::to_string(problem.target);
  }
  use_up(available, result);
  if (!available.empty()) return "it leaves " + std::to_string(available.front()) + " unused";
  return std::nullopt;
}

}  // namespace

std::string Problem::text() const {
  std::string out;
  for (const std::int64_t number : numbers) out += (out.empty() ? "" : ",") + std::to_string(number);
  return out + ":" + std::to_string(target);
}

Problem parse_problem(std::string_view text) {
  constexpr std::int64_t kLargest = 999999;
  constexpr std::size_t kMostNumbers = 8;
  const auto refuse = [&](const char* expected) {
    throw reset::Error("problem is \"" + std::string(text) + "\", expected " + expected);
  };
  Problem problem;
  std::string_view rest = text;
  do {
    const auto number = take_integer(rest);
    if (!number || *number < 1 || *number > kLargest) refuse("numbers from 1 to 999999, as in \"47,8,41:48\"");
    problem.numbers.push_back(*number);
  } while (take(rest, ','));
  if (problem.numbers.size() < 2 || problem.numbers.size() > kMostNumbers) refuse("2 to 8 numbers");
  if (!take(rest, ':')) refuse("a colon and the target after the numbers, as in \"47,8,41:48\"");
  const auto target = take_integer(rest);
  if (!target || *target < 1 || *target > kLargest || !rest.empty()) refuse("one target from 1 to 999999 at the end");
  problem.target = *target;
  return problem;
}

std::vector<Problem> read_problems(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw reset::Error(path + ": cannot be opened, expected a file of problems, one a line");
  std::vector<Problem> problems;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty() || line.front() == '#') continue;
    try {
      problems.push_back(parse_problem(line));
    } catch (const reset::Error& error) {
      throw reset::Error(path + ":" + std::to_string(number) + ": " + error.what());
    }
  }
  if (problems.empty()) throw reset::Error(path + ": holds no problem, expected at least one line \"a,b,c:target\"");
  return problems;
}

bool is_true_equation(std::string_view text) {
  const std::optional<Equation> equation = parse_equation(text);
  return equation && holds(*equation);
}

Verdict check_answer(const Problem& problem, std::string_view trace) {
  Verdict verdict;
  int answers = 0;
  while (!trace.empty()) {
    const std::size_t end = trace.find(kStepEnd);
    const std::string_view step = trace.substr(0, end);
    trace.remove_prefix(end == std::string_view::npos ? trace.size() : end + kStepEnd.size());
    if (step.substr(0, kAnswerMark.size()) != kAnswerMark) continue;
    ++answers;
    verdict.answer = step.substr(kAnswerMark.size());
  }
  if (answers == 0) {
    verdict.reason = "no answer was given";
  } else if (answers > 1) {
    verdict.reason = "more than one answer was given";
  } else if (verdict.answer.empty()) {
    verdict.reason = "the answer is empty";
  } else if (const auto fault = find_fault(problem, verdict.answer)) {
    verdict.reason = *fault;
  } else {
    verdict.correct = true;
    verdict.reason =
        "every equation holds, every number is used once, " + std::to_string(problem.target) + " is reached";
  }
  return verdict;
}

}  // namespace reasoner
