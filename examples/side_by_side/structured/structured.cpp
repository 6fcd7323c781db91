/* Answers with JSON that follows a schema: structured MODEL IMAGE */
#include <iostream>

#include "mimo_vl.hpp"

static const char SCHEMA[] = R"({
    "type": "object",
    "properties": {
        "count": {"type": "integer", "minimum": 0, "maximum": 9},
        "colour": {"enum": ["red", "green", "blue"]}
    },
    "required": ["count", "colour"],
    "additionalProperties": false
})";

int main(int count, char **arguments) {
    if (count != 3) {
        std::cerr << "usage: structured MODEL IMAGE\n";
        return 2;
    }
    try {
        mimo_vl::Prompt prompt;
        prompt.add(mimo_vl::Image::open(arguments[2])).add("How many shapes are there?").thinking(MIMO_VL_THINKING_OFF);
        mimo_vl::Generate options;
        options.grammar(MIMO_VL_GRAMMAR_KIND_JSON_SCHEMA, SCHEMA);
        mimo_vl::Model model(arguments[1]);
        mimo_vl::Session session(model);
        mimo_vl::Answer answer = session.ask(prompt, options);
        if (!answer.complete()) throw mimo_vl::Error(MIMO_VL_STATUS_ANSWER, "the answer was cut off");
        std::cout << answer.text() << '\n';
    } catch (const mimo_vl::Error &error) {
        std::cerr << "structured: " << error.what() << '\n';
        return 1;
    }
}
