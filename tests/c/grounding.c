/* A client of libmimo_vl: boxes, points and actions, from a model with random weights that grammars constrain.
 *
 *     grounding CHECKPOINT IMAGE */
#include <math.h>

#include "check.h"

static mimo_vl_generate_options *constrained(int32_t kind, const char *text) {
    mimo_vl_error *error = NULL;
    mimo_vl_generate_options *options = max_tokens(200);
    OK(mimo_vl_generate_options_set_grammar(options, kind, text, strlen(text), &error));
    OK(mimo_vl_generate_options_set_logprobs(options, 0, &error));
    return options;
}

/* Checks the coordinates of a region in every coordinate frame. */
static void check_region(const mimo_vl_region *region, double width, double height) {
    double edges[4] = {-1, -1, -1, -1}, normalized[4], model[4], point[2];
    mimo_vl_str label;
    CHECK(region != NULL && mimo_vl_region_label(region, &label) && label.len > 0);
    CHECK(!mimo_vl_region_text(region, &label) && label.len == 0);
    CHECK(mimo_vl_region_image(region) == 0 && mimo_vl_region_page(region) == 0);
    CHECK(!mimo_vl_region_box(region, MIMO_VL_FRAME_PAGE, edges) && edges[0] == -1);
    CHECK(mimo_vl_region_confidence(region) > 0.0f && mimo_vl_region_confidence(region) <= 1.0f);
    if (mimo_vl_region_box(region, MIMO_VL_FRAME_PIXELS, edges)) {
        CHECK(mimo_vl_region_point_count(region) == 0);
        CHECK(!mimo_vl_region_point(region, 0, MIMO_VL_FRAME_PIXELS, point));
        CHECK(0 <= edges[0] && edges[0] <= edges[2] && edges[2] <= width);
        CHECK(0 <= edges[1] && edges[1] <= edges[3] && edges[3] <= height);
        CHECK(mimo_vl_region_box(region, MIMO_VL_FRAME_NORMALIZED, normalized));
        CHECK(fabs(normalized[2] * width - edges[2]) < 1e-6 && fabs(normalized[3] * height - edges[3]) < 1e-6);
        CHECK(mimo_vl_region_box(region, MIMO_VL_FRAME_MODEL, model));
        CHECK(!mimo_vl_region_box(region, 9, model) && mimo_vl_region_box(region, MIMO_VL_FRAME_PIXELS, NULL));
    } else {
        CHECK(mimo_vl_region_point_count(region) == 1);
        CHECK(mimo_vl_region_point(region, 0, MIMO_VL_FRAME_PIXELS, point));
        CHECK(0 <= point[0] && point[0] <= width && 0 <= point[1] && point[1] <= height);
        CHECK(!mimo_vl_region_point(region, 1, MIMO_VL_FRAME_PIXELS, point));
        CHECK(!mimo_vl_region_point(region, 0, -1, point));
    }
    (void)mimo_vl_region_clamped(region);
}

/* Regions of the stream are those of the answer; returns their number. */
static size_t regions_are_streamed(const mimo_vl_model *model, const mimo_vl_image *image, int32_t kind,
                                   uint64_t seed) {
    mimo_vl_error *error = NULL;
    mimo_vl_session *session = new_session(model);
    mimo_vl_prompt *prompt = new_prompt(image);
    mimo_vl_generate_options *options = constrained(kind, "");
    mimo_vl_stream *stream;
    mimo_vl_answer *answer;
    mimo_vl_image *drawn;
    mimo_vl_event_kind event;
    mimo_vl_str text;
    double width = mimo_vl_image_width(image), height = mimo_vl_image_height(image);
    size_t streamed = 0;
    OK(mimo_vl_generate_options_set_temperature(options, 20.0f, &error));
    OK(mimo_vl_generate_options_set_seed(options, seed, &error));
    OK(mimo_vl_session_stream(session, prompt, options, &stream, &error));
    CHECK(mimo_vl_stream_region(stream) == NULL);
    do {
        OK(mimo_vl_stream_next(stream, &event, &text, &error));
        CHECK((mimo_vl_stream_region(stream) != NULL) == (event == MIMO_VL_EVENT_KIND_REGION));
        if (event == MIMO_VL_EVENT_KIND_REGION) {
            CHECK(text.len == 0);
            check_region(mimo_vl_stream_region(stream), width, height);
            streamed++;
        }
    } while (event != MIMO_VL_EVENT_KIND_END);
    OK(mimo_vl_stream_finish(stream, &answer, &error));
    CHECK(mimo_vl_answer_complete(answer));
    CHECK(mimo_vl_answer_region_count(answer) == streamed);
    for (size_t index = 0; index < streamed; index++) {
        check_region(mimo_vl_answer_region(answer, index), width, height);
    }
    CHECK(mimo_vl_answer_region(answer, streamed) == NULL);
    CHECK(mimo_vl_answer_logprob_count(answer) == mimo_vl_answer_tokens(answer));
    CHECK(mimo_vl_answer_logprob(answer, 0) <= 0.0f);
    float confidence = mimo_vl_answer_field_confidence(answer, "", 0);
    CHECK(confidence > 0.0f && confidence <= 1.0f);
    CHECK(!isnan(mimo_vl_answer_field_confidence(answer, "/0", 2)) == (streamed > 0));
    CHECK(isnan(mimo_vl_answer_field_confidence(answer, "/none", 5)));
    CHECK(isnan(mimo_vl_answer_field_confidence(answer, NULL, 3)));
    OK(mimo_vl_answer_draw_regions(answer, 0, image, &drawn, &error));
    size_t bytes = 3 * (size_t)mimo_vl_image_width(image) * mimo_vl_image_height(image);
    bool differs = memcmp(mimo_vl_image_pixels(drawn), mimo_vl_image_pixels(image), bytes) != 0;
    CHECK(differs == (streamed > 0));
    mimo_vl_image_free(drawn);
    OK(mimo_vl_answer_draw_regions(answer, 1, image, &drawn, &error));
    CHECK(memcmp(mimo_vl_image_pixels(drawn), mimo_vl_image_pixels(image), bytes) == 0);
    mimo_vl_image_free(drawn);
    mimo_vl_answer_free(answer);
    mimo_vl_stream_free(stream);
    mimo_vl_generate_options_free(options);
    mimo_vl_prompt_free(prompt);
    mimo_vl_session_free(session);
    return streamed;
}

static void grammars_constrain_the_answer(const mimo_vl_model *model, const mimo_vl_image *image) {
    static const struct {
        int32_t kind;
        const char *text;
    } grammars[] = {
        {MIMO_VL_GRAMMAR_KIND_JSON_SCHEMA, "{\"enum\": [\"yes\", \"no\"]}"},
        {MIMO_VL_GRAMMAR_KIND_REGEX, "\"(yes|no)\""},
        {MIMO_VL_GRAMMAR_KIND_LARK, "start: \"\\\"yes\\\"\" | \"\\\"no\\\"\""},
        {MIMO_VL_GRAMMAR_KIND_CHOICE, "\"yes\"\n\"no\""},
    };
    mimo_vl_error *error = NULL;
    mimo_vl_prompt *prompt = new_prompt(image);
    for (size_t index = 0; index < sizeof grammars / sizeof *grammars; index++) {
        mimo_vl_session *session = new_session(model);
        mimo_vl_generate_options *options = constrained(grammars[index].kind, grammars[index].text);
        mimo_vl_answer *answer;
        mimo_vl_str text;
        OK(mimo_vl_session_ask(session, prompt, options, &answer, &error));
        mimo_vl_answer_text(answer, &text);
        CHECK(strcmp(text.data, "\"yes\"") == 0 || strcmp(text.data, "\"no\"") == 0);
        mimo_vl_answer_free(answer);
        mimo_vl_generate_options_free(options);
        options = constrained(MIMO_VL_GRAMMAR_KIND_REGEX, "(");
        FAILS(mimo_vl_session_ask(session, prompt, options, &answer, &error), MIMO_VL_STATUS_OPTION, "grammar");
        FAILS(mimo_vl_generate_options_set_grammar(options, 99, "", 0, &error), MIMO_VL_STATUS_OPTION, "grammar_kind");
        FAILS(mimo_vl_generate_options_set_grammar(options, 2, "\xff", 1, &error), MIMO_VL_STATUS_OPTION, "UTF-8");
        OK(mimo_vl_generate_options_set_grammar(options, MIMO_VL_GRAMMAR_KIND_NONE, NULL, 0, &error));
        mimo_vl_generate_options_free(options);
        mimo_vl_session_free(session);
    }
    mimo_vl_prompt_free(prompt);
}

static void actions_are_parsed(void) {
    static const char DRAG[] = "{\"action\": \"drag\", \"start_point\": [1, 2], \"end_point\": [3, 4]}";
    static const char PRESS[] = "```json\n[{\"action\": \"press\", \"keys\": [\"ctrl\", \"c\"]}]\n```";
    static const char SCROLL[] = "{\"action\": \"scroll\", \"direction\": \"down\"}";
    static const char INPUT[] = "{\"action\": \"input\", \"text\": \"税额\"}";
    mimo_vl_error *error = NULL;
    mimo_vl_action *action;
    mimo_vl_str text;
    double point[2];
    OK(mimo_vl_action_parse(DRAG, strlen(DRAG), &action, &error));
    CHECK(mimo_vl_action_kind_of(action) == MIMO_VL_ACTION_KIND_DRAG);
    CHECK(mimo_vl_action_point(action, point) && point[0] == 1 && point[1] == 2);
    CHECK(mimo_vl_action_end_point(action, point) && point[0] == 3 && point[1] == 4);
    CHECK(!mimo_vl_action_text(action, &text) && text.len == 0 && !mimo_vl_action_direction(action, NULL));
    CHECK(mimo_vl_action_key_count(action) == 0 && !mimo_vl_action_key(action, 0, &text));
    mimo_vl_action_json(action, &text);
    CHECK(strcmp(text.data, DRAG) == 0);
    mimo_vl_action_free(action);
    OK(mimo_vl_action_parse(PRESS, strlen(PRESS), &action, &error));
    CHECK(mimo_vl_action_kind_of(action) == MIMO_VL_ACTION_KIND_PRESS && mimo_vl_action_key_count(action) == 2);
    CHECK(mimo_vl_action_key(action, 1, &text) && strcmp(text.data, "c") == 0 && !mimo_vl_action_point(action, point));
    mimo_vl_action_free(action);
    OK(mimo_vl_action_parse(SCROLL, strlen(SCROLL), &action, &error));
    CHECK(mimo_vl_action_direction(action, &text) && strcmp(text.data, "down") == 0);
    mimo_vl_action *drag;
    OK(mimo_vl_action_scroll_as_drag(action, 200, 100, &drag, &error));
    CHECK(mimo_vl_action_point(drag, point) && point[0] == 100 && point[1] == 50);
    CHECK(mimo_vl_action_end_point(drag, point) && point[0] == 100 && point[1] == 20);
    mimo_vl_action_free(drag);
    FAILS(mimo_vl_action_scroll_as_drag(NULL, 1, 1, &drag, &error), MIMO_VL_STATUS_OPTION, "action");
    mimo_vl_action_free(action);
    OK(mimo_vl_action_parse(INPUT, strlen(INPUT), &action, &error));
    CHECK(mimo_vl_action_text(action, &text) && strcmp(text.data, "税额") == 0);
    mimo_vl_action_free(action);
    FAILS(mimo_vl_action_parse("wait", 4, &action, &error), MIMO_VL_STATUS_ANSWER, "no action");
    CHECK(action == NULL && mimo_vl_action_kind_of(NULL) == MIMO_VL_ACTION_KIND_WAIT);
}

static void screens_convert_coordinates(const mimo_vl_image *image) {
    static const mimo_vl_screen SCREENS[] = {{0, 0, 2880, 1800, 2}, {1440, -100, 1920, 1080, 1}};
    static const double EDGES[] = {1, 2, 3, 4};
    mimo_vl_error *error = NULL;
    mimo_vl_image *part;
    double point[2];
    CHECK(mimo_vl_screen_to_desktop(&SCREENS[0], 2879, 900, point) && point[0] == 1439.5 && point[1] == 450);
    CHECK(mimo_vl_screen_to_pixels(&SCREENS[1], 1447, -91, point) && point[0] == 7 && point[1] == 9);
    CHECK(!mimo_vl_screen_to_pixels(NULL, 0, 0, point) && mimo_vl_screen_to_desktop(&SCREENS[0], 0, 0, NULL));
    CHECK(mimo_vl_screen_at(SCREENS, 2, 1440, 0) == 1 && mimo_vl_screen_at(SCREENS, 2, 1440, -101) == 2);
    CHECK(mimo_vl_screen_at(NULL, 2, 0, 0) == 2);
    static const mimo_vl_screen NO_SCALE = {0, 0, 9, 9, 0};
    CHECK(!mimo_vl_screen_to_desktop(&NO_SCALE, 0, 0, point) && mimo_vl_screen_at(&NO_SCALE, 1, 0, 0) == 1);
    CHECK(mimo_vl_box_contains(EDGES, 3, 2) && !mimo_vl_box_contains(EDGES, 3.1, 2));
    CHECK(!mimo_vl_box_contains(NULL, 0, 0));
    OK(mimo_vl_image_zoom_crop(image, 0, 0, 2, &part, &error));
    CHECK(mimo_vl_image_width(part) == (mimo_vl_image_width(image) + 1) / 2);
    size_t row = 3 * (size_t)mimo_vl_image_width(part);
    CHECK(memcmp(mimo_vl_image_pixels(part), mimo_vl_image_pixels(image), row) == 0);
    mimo_vl_image_free(part);
    FAILS(mimo_vl_image_zoom_crop(image, 0, 0, 0.5, &part, &error), MIMO_VL_STATUS_OPTION, "zoom");
}

static void a_task_is_done_in_steps(const mimo_vl_model *model, const mimo_vl_image *image) {
    static const int32_t ACTION_SPACE[] = {MIMO_VL_ACTION_KIND_CLICK, MIMO_VL_ACTION_KIND_LONG_PRESS};
    static const int32_t UNKNOWN[] = {12};
    mimo_vl_error *error = NULL;
    mimo_vl_task *task;
    mimo_vl_prompt *prompt;
    mimo_vl_action *action;
    mimo_vl_answer *answer;
    mimo_vl_generate_options *options = max_tokens(100);
    double point[2];
    OK(mimo_vl_task_new("Pay", 3, &task, &error));
    FAILS(mimo_vl_task_set_action_space(task, UNKNOWN, 1, &error), MIMO_VL_STATUS_OPTION, "12");
    OK(mimo_vl_task_set_action_space(task, ACTION_SPACE, 2, &error));
    OK(mimo_vl_task_set_instruction(task, "Click it.", 9, &error));
    OK(mimo_vl_generate_options_set_task(options, task, &error));
    for (int step = 0; step < 2; step++) {
        mimo_vl_session *session = new_session(model);
        OK(mimo_vl_task_prompt(task, image, model, &prompt, &error));
        OK(mimo_vl_prompt_set_thinking(prompt, MIMO_VL_THINKING_OFF, &error));
        OK(mimo_vl_session_ask(session, prompt, options, &answer, &error));
        OK(mimo_vl_answer_action(answer, &action, &error));
        CHECK(mimo_vl_action_kind_of(action) == MIMO_VL_ACTION_KIND_CLICK ||
              mimo_vl_action_kind_of(action) == MIMO_VL_ACTION_KIND_LONG_PRESS);
        CHECK(mimo_vl_action_point(action, point));
        CHECK(0 <= point[0] && point[0] <= mimo_vl_image_width(image));
        CHECK(0 <= point[1] && point[1] <= mimo_vl_image_height(image));
        OK(mimo_vl_task_add_step(task, "I click it.", 11, action, &error));
        mimo_vl_action_free(action);
        mimo_vl_answer_free(answer);
        mimo_vl_prompt_free(prompt);
        mimo_vl_session_free(session);
    }
    mimo_vl_generate_options_free(options);
    mimo_vl_task_free(task);
}

int main(int count, char **arguments) {
    mimo_vl_error *error = NULL;
    mimo_vl_image *image;
    size_t boxes = 0, points = 0;
    read_arguments(count, arguments);
    mimo_vl_model *model = load_model();
    OK(mimo_vl_image_from_path(image_path, &image, &error));
    for (uint64_t seed = 0; seed < 4; seed++) {
        boxes += regions_are_streamed(model, image, MIMO_VL_GRAMMAR_KIND_BOXES, seed);
        points += regions_are_streamed(model, image, MIMO_VL_GRAMMAR_KIND_POINTS, seed);
    }
    CHECK(boxes > 0 && points > 0);
    grammars_constrain_the_answer(model, image);
    actions_are_parsed();
    screens_convert_coordinates(image);
    a_task_is_done_in_steps(model, image);
    mimo_vl_image_free(image);
    mimo_vl_model_free(model);
    return 0;
}
