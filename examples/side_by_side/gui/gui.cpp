/* Predicts the next GUI action for a goal from a screenshot: gui MODEL SCREENSHOT GOAL */
#include <cmath>
#include <iostream>

#include "mimo_vl.hpp"

static const char *name(mimo_vl_action_kind kind) {
    return kind == MIMO_VL_ACTION_KIND_CLICK ? "click" : kind == MIMO_VL_ACTION_KIND_PRESS ? "press" : "finished";
}

int main(int count, char **arguments) {
    if (count != 4) {
        std::cerr << "usage: gui MODEL SCREENSHOT GOAL\n";
        return 2;
    }
    try {
        mimo_vl::Image screenshot = mimo_vl::Image::open(arguments[2]);
        mimo_vl::Task task(arguments[3]);
        task.action_space({MIMO_VL_ACTION_KIND_CLICK, MIMO_VL_ACTION_KIND_PRESS, MIMO_VL_ACTION_KIND_FINISHED});
        mimo_vl::Model model(arguments[1]);
        mimo_vl::Prompt prompt = task.prompt(screenshot, model);
        prompt.thinking(MIMO_VL_THINKING_OFF);
        mimo_vl::Generate options;
        options.max_tokens(200).grammar(task);
        mimo_vl::Session session(model);
        mimo_vl::Action action = session.ask(prompt, options).action();
        std::cout << name(action.kind());
        if (auto point = action.point()) {
            std::cout << ' ' << std::lround((*point)[0]) << ' ' << std::lround((*point)[1]);
        }
        std::cout << '\n';
    } catch (const mimo_vl::Error &error) {
        std::cerr << "gui: " << error.what() << '\n';
        return 1;
    }
}
