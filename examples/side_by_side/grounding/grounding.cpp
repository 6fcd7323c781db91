/* Boxes around what is asked for, as lines and drawn over the picture: grounding MODEL IMAGE QUESTION OUT.png */
#include <iomanip>
#include <iostream>

#include "mimo_vl.hpp"

int main(int count, char **arguments) {
    if (count != 5) {
        std::cerr << "usage: grounding MODEL IMAGE QUESTION OUT.png\n";
        return 2;
    }
    try {
        mimo_vl::Image image = mimo_vl::Image::open(arguments[2]);
        mimo_vl::Prompt prompt;
        prompt.add(image).add(arguments[3]).thinking(MIMO_VL_THINKING_OFF);
        // The form closes what is open before the tokens are used up.
        mimo_vl::GenerateOptions generate;
        generate.max_tokens(512).grammar(MIMO_VL_GRAMMAR_KIND_BOXES);
        mimo_vl::Model model(arguments[1]);
        mimo_vl::Session session(model);
        mimo_vl::Answer answer = session.ask(prompt, generate);
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
