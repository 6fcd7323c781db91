/* Reads the text of each page of a PDF file: ocr_pdf MODEL FILE.pdf */
#include <iostream>

#include "mimo_vl.hpp"

int main(int count, char **arguments) {
    if (count != 3) {
        std::cerr << "usage: ocr_pdf MODEL FILE.pdf\n";
        return 2;
    }
    try {
        mimo_vl::Pdf pdf = mimo_vl::Pdf::open(arguments[2]);
        mimo_vl::Model model(arguments[1]);
        mimo_vl::Generate options;
        options.max_tokens(24);
        for (size_t index = 0; index < pdf.page_count(); ++index) {
            mimo_vl::Prompt prompt;
            prompt.add(pdf.image(index)).add("What does the page say?").thinking(MIMO_VL_THINKING_OFF);
            // A session of its own for each page.
            mimo_vl::Session session(model);
            std::cout << "page " << pdf.number(index) << ": " << session.ask(prompt, options).text() << '\n';
        }
    } catch (const mimo_vl::Error &error) {
        std::cerr << "ocr_pdf: " << error.what() << '\n';
        return 1;
    }
}
