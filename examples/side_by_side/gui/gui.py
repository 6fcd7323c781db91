"""Predicts the next GUI action for a goal from a screenshot: `gui.py MODEL SCREENSHOT GOAL`."""

import sys

import mimo_vl


def run(model: str, screenshot: str, goal: str) -> None:
    image = mimo_vl.Image.open(screenshot)
    task = mimo_vl.Task(goal, action_space=["click", "press", "finished"])
    loaded = mimo_vl.Model.load(model)
    prompt = task.prompt(loaded, image)
    with loaded.session() as session:
        action = session.ask(prompt, thinking=False, max_tokens=200, response_format=task).action
    if action is None:
        raise mimo_vl.AnswerError("the answer is not an action")
    print(action.name, *(f"{value:.0f}" for value in action.point or ()))


def main() -> int:
    if len(sys.argv) != 4:
        print("usage: gui MODEL SCREENSHOT GOAL", file=sys.stderr)
        return 2
    try:
        run(*sys.argv[1:])
    except mimo_vl.MimoVlError as error:
        print(f"gui: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
