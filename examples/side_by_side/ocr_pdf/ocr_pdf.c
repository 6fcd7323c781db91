/* Reads the text of each page of a PDF file: ocr_pdf MODEL FILE.pdf */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mimo_vl.h"

static const char PROMPT[] = "What does the page say?";
static mimo_vl_error *error;

/* Exits with the library's message unless the call succeeded. */
static void check(mimo_vl_status status) {
    if (status != MIMO_VL_STATUS_OK) {
        mimo_vl_str message;
        mimo_vl_error_message(error, &message);
        fprintf(stderr, "ocr_pdf: %s\n", message.data);
        exit(1);
    }
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fputs("usage: ocr_pdf MODEL FILE.pdf\n", stderr);
        return 2;
    }
    mimo_vl_pdf *pdf;
    mimo_vl_model *model;
    check(mimo_vl_pdf_from_path(argv[2], NULL, NULL, NULL, &pdf, &error));
    check(mimo_vl_model_load(argv[1], NULL, &model, &error));
    mimo_vl_generate_options *options = mimo_vl_generate_options_new();
    mimo_vl_generate_options_set_max_tokens(options, 24);
    for (size_t index = 0; index < mimo_vl_pdf_page_count(pdf); index++) {
        mimo_vl_image *image;
        mimo_vl_session *session;
        mimo_vl_answer *answer;
        mimo_vl_str text;
        mimo_vl_prompt *prompt = mimo_vl_prompt_new_user();
        check(mimo_vl_pdf_page_image(pdf, index, &image, &error));
        check(mimo_vl_prompt_add_image(prompt, image, &error));
        check(mimo_vl_prompt_add_text(prompt, PROMPT, strlen(PROMPT), &error));
        check(mimo_vl_prompt_set_thinking(prompt, MIMO_VL_THINKING_OFF, &error));
        /* A session of its own for each page. */
        check(mimo_vl_session_new(model, &session, &error));
        check(mimo_vl_session_ask(session, prompt, options, &answer, &error));
        mimo_vl_answer_text(answer, &text);
        printf("page %zu: ", mimo_vl_pdf_page_number(pdf, index));
        fwrite(text.data, 1, text.len, stdout);
        putchar('\n');
        mimo_vl_answer_free(answer);
        mimo_vl_session_free(session);
        mimo_vl_prompt_free(prompt);
        mimo_vl_image_free(image);
    }
    mimo_vl_generate_options_free(options);
    mimo_vl_model_free(model);
    mimo_vl_pdf_free(pdf);
    return 0;
}
