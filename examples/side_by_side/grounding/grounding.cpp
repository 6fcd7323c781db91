/* Prints the boxes of objects and draws them over the image: grounding MODEL IMAGE PROMPT OUT.png */
#include <iomanip>
#include <iostream>

#include "mimo_vl.hpp"

int main(int count, char **arguments) {
    if (count != 5) {
        std::cerr << "usage: grounding MODEL IMAGE PROMPT OUT.png\n";
        return 2;
    }
    try {
        mimo_vl::Image image = mimo_vl::Image::open(arguments[2]);
        mimo_vl::Prompt prompt;
        prompt.add(image).add(arguments[3]).thinking(MIMO_VL_THINKING_OFF);
        // The grammar completes the JSON before max_tokens is reached.
        mimo_vl::Generate options;
        options.max_tokens(512).grammar(MIMO_VL_GRAMMAR_KIND_BOXES);
        mimo_vl::Model model(arguments[1]);
        mimo_vl::Session session(model);
        mimo_vl::Answer answer = session.ask(prompt, options);
        std::cout << std::fixed << std::setprecision(0);
        for (const mimo_vl::Region &region : answer.regions()) {
            if (auto box = region.box()) {
                auto [left, top, right, bottom] = *box;
                std::cout << region.label().value_or("") << ": " << left << ' ' << top << ' ' << right << ' ' << bottom
                          << '\n';
            }
        }
        answer.draw(image).write_png(arguments[4]);
    } catch (const mimo_vl::Error &error) {
        std::cerr << "grounding: " << error.what() << '\n';
        return 1;
    }
}
