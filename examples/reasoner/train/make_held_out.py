"""Writes the held-out problems of the demonstration, one a line as "a,b,c,d:target".

    python3 examples/reasoner/train/make_held_out.py > examples/reasoner/data/held_out.txt

They are of the evaluation split (countdown.py says which hashes that is), so that no training trace showed them, and every one
can be solved.
"""
import countdown


def main(count=200, seed=2):
    for problem in countdown.problems(countdown.options(), seed, count, countdown.EVALUATION):
        assert countdown.solvable(*problem)
        print(countdown.problem_text(problem))


if __name__ == "__main__":
    main()
