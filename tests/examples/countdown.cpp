#include "countdown.hpp"

#include <cstdio>
#include <fstream>

#include <reset/status.hpp>

#include "support/catch.hpp"

using Catch::Matchers::Contains;
using reasoner::check_answer;
using reasoner::parse_problem;

namespace {

const char* const kProblem = "47,8,41:48";

bool correct(const char* problem, const std::string& answer) {
  return check_answer(parse_problem(problem), "47+8=55 no\n\nans " + answer).correct;
}

std::string fault(const char* problem, const std::string& answer) {
  const auto verdict = check_answer(parse_problem(problem), "ans " + answer);
  CHECK_FALSE(verdict.correct);
  CHECK(verdict.answer == answer);
  return verdict.reason;
}

}  // namespace

TEST_CASE("right answers are accepted") {
  CHECK(correct(kProblem, "47-41=6,8*6=48"));
  CHECK(correct("3,4:12", "4*3=12"));
  CHECK(correct("12,4,5:8", "12/4=3,3+5=8"));  // exact division
  CHECK(correct("3,8,20:15", "3-8=-5,20+-5=15"));
  CHECK(correct("7,7:14", "7+7=14"));  // given twice, so usable twice
  CHECK(correct("999999,999999,1:2", "999999/999999=1,1+1=2"));
}

TEST_CASE("an answer that uses a number too often is refused") {
  CHECK_THAT(fault("7,3:14", "7+7=14"), Contains("uses 7, which is not left"));
  CHECK_THAT(fault(kProblem, "47-41=6,47-41=6"), Contains("uses 47, which is not left"));
  CHECK_THAT(fault("2,3,5:10", "2+3=5,5+5=10,5+5=10"), Contains("uses 5, which is not left"));
  CHECK_THAT(fault("6,2:16", "6+2=8,8+8=16"), Contains("uses 8, which is not left"));  // a result counts once too
  CHECK_THAT(fault("3,4:48", "40+8=48"), Contains("uses 40, which is not left"));
}

TEST_CASE("false arithmetic is refused") {
  CHECK_THAT(fault(kProblem, "47-41=7,8*7=56"), Contains("47-41=7 is false"));
  CHECK_THAT(fault("7,2:3", "7/2=3"), Contains("7/2=3 is false"));
  CHECK_THAT(fault("2,7,1:1", "2/7=0,0+1=1"), Contains("2/7=0 is false"));
  CHECK_THAT(fault("5,5,3:3", "5-5=0,3/0=3"), Contains("divides by zero"));
  CHECK_THAT(fault("5,5,5,5:1", "5-5=0,5-5=0,0/0=1"), Contains("divides by zero"));
}

TEST_CASE("an answer that misses the target is refused") {
  CHECK_THAT(fault(kProblem, "47-41=6"), Contains("reaches 6, not 48"));
  CHECK_THAT(fault(kProblem, "47-41=6,8*6=48,48/48=1"), Contains("uses 48, which is not left"));
}

TEST_CASE("an answer that leaves a number unused is refused") {
  CHECK_THAT(fault("3,4,50:12", "4*3=12"), Contains("leaves 50 unused"));
  CHECK_THAT(fault("12,3,4:12", "3*4=12"), Contains("leaves 12 unused"));  // the result is used, the given 12 is not
}

TEST_CASE("malformed answers are refused") {
  for (const char* answer : {"48", "47-41", "47-41=", "=48", "8*6=48 yes", " 8*6=48", "8**6=48", "8x6=48", "8*6=48$",
                             "8*6=4.8", "8*6==48", "+8*6=48", "8*6=+48", "8*-=48", "-"}) {
    CAPTURE(answer);
    CHECK_THAT(fault("8,6:48", answer), Contains("is not an equation"));
  }
  CHECK_THAT(fault("8,6:48", "8*6=48,"), Contains("ends in a comma"));
  CHECK_THAT(fault("8,6:48", ",8*6=48"), Contains("is not an equation"));
}

TEST_CASE("numbers that would overflow are refused, not wrapped") {
  // 2^64 + 48 wraps to 48 in 64 bits, and 4294967296 * 4294967296 wraps to 0.
  CHECK_THAT(fault("8,6:48", "8*6=18446744073709551664"), Contains("is not an equation"));
  CHECK_THAT(fault("8,6:48", "4294967296*4294967296=0"), Contains("is not an equation"));
  CHECK_THAT(fault("8,6:48", "00000000000000000008*6=48"), Contains("is not an equation"));
}

TEST_CASE("exactly one answer is expected") {
  const auto problem = parse_problem("8,6:48");
  CHECK(check_answer(problem, "").reason == "no answer was given");
  CHECK(check_answer(problem, "8*6=48 yes\n\n").reason == "no answer was given");
  CHECK(check_answer(problem, "the ans 8*6=48").reason == "no answer was given");  // not at the start of a step
  CHECK(check_answer(problem, "ans ").reason == "the answer is empty");
  CHECK(check_answer(problem, "ans 8+6=14\n\nans 8*6=48").reason == "more than one answer was given");
  CHECK(check_answer(problem, "ans 8*6=48\n\n").correct);
}

TEST_CASE("problems are read back as written") {
  const auto problem = parse_problem("47,8,41:48");
  CHECK(problem.numbers == std::vector<std::int64_t>{47, 8, 41});
  CHECK(problem.target == 48);
  CHECK(problem.text() == "47,8,41:48");
}

TEST_CASE("malformed problems name their text") {
  for (const char* text :
       {"", ":", "47,8", "47:8", "47,,8:48", "47,8,:48", "47,8:", "47,8:48 ", " 47,8:48", "47,8:-1", "47,-8:48",
        "47,8:48:49", "0,8:48", "1,2,3,4,5,6,7,8,9:48", "47,8:1000000", "99999999999999999999,8:48", "47;8:48"}) {
    CAPTURE(text);
    CHECK_THROWS_WITH(parse_problem(text), Contains("problem is \"" + std::string(text) + "\", expected "));
  }
}

TEST_CASE("a file of problems names the bad line") {
  const std::string path = "countdown_problems.txt";
  const auto write = [&](const char* text) { std::ofstream(path, std::ios::binary) << text; };
  write("# held out\n1,2:3\r\n\n4,5,6:7\n");
  CHECK(reasoner::read_problems(path).size() == 2);
  write("1,2:3\n4,5,6;7\n");
  CHECK_THROWS_WITH(reasoner::read_problems(path), Contains(path + ":2: "));
  write("# nothing\n");
  CHECK_THROWS_WITH(reasoner::read_problems(path), Contains("holds no problem"));
  std::remove(path.c_str());
  CHECK_THROWS_WITH(reasoner::read_problems(path), Contains("cannot be opened"));
}
