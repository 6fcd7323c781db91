/* Answers with JSON that follows a schema: structured MODEL IMAGE */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mimo_vl.h"

static const char PROMPT[] = "How many shapes are there?";
static const char SCHEMA[] =
    "{\"type\": \"object\","
    " \"properties\": {"
    "  \"count\": {\"type\": \"integer\", \"minimum\": 0, \"maximum\": 9},"
    "  \"colour\": {\"enum\": [\"red\", \"green\", \"blue\"]}},"
    " \"required\": [\"count\", \"colour\"],"
    " \"additionalProperties\": false}";
static mimo_vl_error *error;

/* Exits with the library's message unless the call succeeded. */
static void check(mimo_vl_status status) {
    if (status != MIMO_VL_STATUS_OK) {
        mimo_vl_str message;
        mimo_vl_error_message(error, &message);
        fprintf(stderr, "structured: %s\n", message.data);
        exit(1);
    }
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fputs("usage: structured MODEL IMAGE\n", stderr);
        return 2;
    }
    mimo_vl_image *image;
    mimo_vl_model *model;
    mimo_vl_session *session;
    mimo_vl_answer *answer;
    mimo_vl_str text;
    check(mimo_vl_image_from_path(argv[2], &image, &error));
    mimo_vl_prompt *prompt = mimo_vl_prompt_new_user();
    check(mimo_vl_prompt_add_image(prompt, image, &error));
    check(mimo_vl_prompt_add_text(prompt, PROMPT, strlen(PROMPT), &error));
    check(mimo_vl_prompt_set_thinking(prompt, MIMO_VL_THINKING_OFF, &error));
    mimo_vl_generate_options *options = mimo_vl_generate_options_new();
    int kind = MIMO_VL_GRAMMAR_KIND_JSON_SCHEMA;
    check(mimo_vl_generate_options_set_grammar(options, kind, SCHEMA, strlen(SCHEMA), &error));
    check(mimo_vl_model_load(argv[1], NULL, &model, &error));
    check(mimo_vl_session_new(model, &session, &error));
    check(mimo_vl_session_ask(session, prompt, options, &answer, &error));
    if (!mimo_vl_answer_complete(answer)) {
        fputs("structured: the answer was cut off\n", stderr);
        return 1;
    }
    mimo_vl_answer_text(answer, &text);
    fwrite(text.data, 1, text.len, stdout);
    putchar('\n');
    mimo_vl_answer_free(answer);
    mimo_vl_session_free(session);
    mimo_vl_model_free(model);
    mimo_vl_generate_options_free(options);
    mimo_vl_prompt_free(prompt);
    mimo_vl_image_free(image);
    return 0;
}
