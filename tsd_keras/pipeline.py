"""The stages of a run, from data to firmware."""

import json

from tflite.errors import UserError
from tsd_keras import __version__, command_line
from tsd_keras.versions import versions

MODELS = ("teacher", "baseline", "student")
CONTROL = "control"  # beside a student that learns on in another form: the same in float, for as many epochs
_FORMS = {
    "pruned": "Pruning: the student learns on while weights become zero",
    "clustered": "Clustering: the student learns on with few values",
    "aware": "Quantization-aware training: the student learns on as it will run",
}
LOOK_UP_TABLES = "look_up_tables.json"
_IMPORTANCE_SAMPLES = 512  # training samples that a gradient's importance is measured on


class Pipeline:
    """The stages of a run, each skipped where its outputs stand.

    Args:
        config: A `tsd_keras.config.Config`.
        stages: The run's folder.
    """

    def __init__(self, config, stages):
        from tsd_keras import data

        self.stages = stages
        self.workdir = stages.workdir
        self.data = data.load(config.data)
        self._check(config)
        self.config = config.settled(self.data.labels, self.data.outputs)
        self._answers = None
        # What was trained stands on another machine and after an update of its libraries: it would come out
        # otherwise, but none the better. What is made of it is made again: that is quick.
        self._facts = {"tsd_keras": __version__, "data": self.data.fingerprint, "seed": config.seed}
        self._facts_here = self._facts | {"versions": versions()}

    def _check(self, config):
        """Refuses data that this run has nothing to learn from, or sections that are for other labels."""
        if self.data.targets("train") is None or self.data.y_test is None:
            raise UserError(
                "data: this run trains and evaluates with labels, of which a split has none. Unlabelled data "
                "is for python -m tsd_keras.transfer (transfer.distill)."
            )
        if config.gate is not None and self.data.labels != "class":
            raise UserError(
                f"gate: its bar is a classifier's AUC, and data.labels is {self.data.labels}; leave gate out."
            )
        preprocess = config.teacher.preprocess
        if self.data.labels == "anomaly" and (preprocess.scale, preprocess.offset) != (1, 0):
            raise UserError(
                "teacher.preprocess: of anomalies, teacher and student repeat the same input; leave it out."
            )

    # -- training ------------------------------------------------------------------------------

    def train(self):
        """Teacher, baseline and distilled student, the last two from the same initial weights."""
        config = self.config
        resolved = config.resolved()
        if config.teacher.path is None:
            command_line.heading("Teacher")
            inputs = self._facts | {"teacher": resolved["teacher"]}
            self._stage("teacher", inputs, ["teacher.keras", "teacher.history.json"], self.train_teacher)
        else:
            from tflite import files
            from tsd_keras import loading

            loading.load_model(config.teacher.path)
            self._facts["teacher"] = self._facts_here["teacher"] = files.sha256(config.teacher.path)
        command_line.heading("Teacher's answers")
        print(f"   {self.answers.plan.statement}", flush=True)
        budget = {key: resolved[key] for key in ("student", "training")} | {"views": self.answers.plan.views}
        if config.student.derive is not None:
            budget |= {"derived_from": resolved["teacher"], **self._made("teacher")}
        # A baseline is trained as long as the student: where there is a gate, that is known afterwards.
        students = [self._train_baseline, self._train_distilled]
        for train in students if config.gate is None else reversed(students):
            train(budget)

    @property
    def models(self) -> tuple[str, ...]:
        """The models that are converted and evaluated."""
        return (*MODELS, CONTROL) if self.config.quantize.forms else MODELS

    def train_on(self):
        """The student learns on in other forms, where asked to, and beside it, to compare, in float."""
        if not self.config.quantize.forms:
            return
        resolved = self.config.resolved()
        keys = ("training", "distillation", "quantize", "convert")
        inputs = self._facts | {key: resolved[key] for key in keys}
        command_line.heading("Control: the student learns on in float")
        before = "student"
        for name in (CONTROL, *self.config.quantize.forms):
            if name != CONTROL:
                command_line.heading(_FORMS[name])
            outputs = [f"{name}.keras", f"{name}.history.json"]
            outputs += ["aware.ranges.json"] if name == "aware" else []
            facts = inputs | self._made(before) | {"form": name}
            self._stage(name, facts, outputs, lambda name=name, before=before: self._learn_on(name, before))
            before = before if name == CONTROL else name

    def _learn_on(self, name, before):
        """Makes one form of the model that an earlier stage left; writes it and its history."""
        from tflite import files
        from tsd_keras import lessons, loading

        section, config = self.config.quantize, self.config
        student = loading.load_model(self.workdir / f"{before}.keras")
        caches = self.answers.caches()
        further = lessons.Lessons(
            self.answers.teacher(),
            self.answers.config,
            self.data,
            section.lessons(config.training, len(section.forms) if name == CONTROL else 1),
            self.answers.plan.views,
            caches,
        )
        if name == CONTROL:
            history = further.teach(student)
        elif name == "pruned":
            history = lessons.prune(student, further, **section.pruning.model_dump())
        elif name == "clustered":
            history = lessons.cluster(student, further, section.clusters)
        else:
            samples = self.data.calibration(config.convert.calibration_samples, config.seed)
            keep = before != "student"
            ranges, history = lessons.quantization_aware(student, further, samples, section.settings(), keep)
            files.write_json(self.workdir / "aware.ranges.json", sorted(ranges.items()))
        loading.save_model(student, self.workdir / f"{name}.keras")
        files.write_json(self.workdir / f"{name}.history.json", history)

    def _trained_ranges(self, name):
        """`{number of a tensor: (least, largest)}` where a model was trained quantized, else `None`."""
        if name != "student" or self.config.quantize.mode != "qat":
            return None
        pairs = json.loads((self.workdir / "aware.ranges.json").read_text())
        return {number: tuple(pair) for number, pair in pairs}

    def _train_baseline(self, budget):
        command_line.heading("Baseline: the student's architecture, labels only")
        if self.config.gate is not None:
            budget = budget | {"rounds": self._baseline_rounds(), "gate": self.config.gate.change}
        outputs = ["baseline.keras", "baseline.history.json"]
        self._stage("baseline", self._facts | budget, outputs, lambda: self._train_student("baseline"))

    def _train_distilled(self, budget):
        command_line.heading("Student: distilled")
        resolved = self.config.resolved()
        keys = ("distillation", "teacher", "teacher_cache")
        inputs = self._facts | budget | {key: resolved[key] for key in keys} | self._made("teacher")
        outputs = ["student.keras", "student.history.json"]
        if self.config.gate is not None:
            inputs["gate"] = resolved["gate"]
            outputs.append("gate.json")
        self._stage("student", inputs, outputs, lambda: self._train_student("student"))

    def train_teacher(self):
        """Trains the teacher and writes it to the run's folder."""
        from tflite import files
        from tsd_keras import loading, training

        training.reproducible(self.config.seed)
        section = self.config.teacher
        teacher = self._build(section, "teacher")
        history = training.fit(
            teacher, self.data, section.training, self.config.seed, self._backup("teacher")
        )
        loading.save_model(teacher, self.workdir / "teacher.keras")
        files.write_json(self.workdir / "teacher.history.json", history)

    def _train_student(self, name):
        """One training, or the rounds of the gate; writes the model and its history."""
        from tflite import files
        from tsd_keras import gate, loading

        section = self.config.gate
        trained = {}  # round -> model and history; weights move on where the next round goes on

        def attempt(number):
            config, changed = gate.of_round(self.config, number)
            goes_on = section is not None and section.change == "epochs" and number > 1
            trained[number] = self._round(name, number, config, trained[number - 1][0] if goes_on else None)
            return trained[number][0], changed

        if section is not None and name == "student":
            held_out = self.data.x_validation, self.data.y_validation
            record = self.workdir / "gate.json"
            model, verdict = gate.until_auc(attempt, section.auc, section.rounds, *held_out, record)
            print(f"   {verdict}", flush=True)
        else:
            for number in self._baseline_rounds():
                model, _ = attempt(number)
        loading.save_model(model, self.workdir / f"{name}.keras")
        history = gate.joined([history for _, history in trained.values()])
        files.write_json(self.workdir / f"{name}.history.json", history)

    def _baseline_rounds(self) -> list[int]:
        """The rounds that made the student what it is."""
        if self.config.gate is None:
            return [1]
        kept = json.loads((self.workdir / "gate.json").read_text())["kept"]
        return list(range(1, kept + 1)) if self.config.gate.change == "epochs" else [kept]

    def _round(self, name, number, config, earlier):
        """Trains a new student, or an earlier round's on; the model and its history."""
        from tsd_keras import channel_dropping, training

        # Before the seed is set: whether the teacher still has to be asked must not move the numbers.
        caches = self.answers.caches() if name == "student" else None
        views = self.answers.plan.views
        # Kept answers belong to the views of one seed; otherwise every round has views of its own.
        seed = config.seed if views else config.seed + number - 1
        training.reproducible(seed)
        student = earlier or self.build_student(name == "student", config.student)
        trained = self._distiller(student) if name == "student" else student
        # A student that goes on has been slimmed already.
        dropping = config.distillation.channel_dropping if name == "student" and not earlier else None
        sources = {"views": views, "caches": caches}
        if dropping is not None:
            data = self._importance_data(name)
            sources["callbacks"] = [channel_dropping.ChannelDropping(**dropping.settings(), data=data)]
        backup = self._backup(name, number)
        history = training.fit(trained, self.data, config.training, seed, backup, **sources)
        return student if dropping is None else channel_dropping.slim(student), history

    @property
    def answers(self):
        """The teacher's answers: how many views every training of the run sees, and the record of them."""
        if self._answers is None:
            from tsd_keras import teacher_answers

            self._answers = teacher_answers.TeacherAnswers(
                self.config,
                self.data,
                self.workdir / "teacher_cache",
                lambda: self.model("teacher"),
                self.build_student,
            )
        return self._answers

    def build_student(self, with_teacher: bool = True, section=None):
        """The student before training.

        Args:
            with_teacher: Whether a derived student has the teacher's weights; else it has new ones.
            section: A `tsd_keras.config.Student`; the config's own when left out.
        """
        section = section or self.config.student
        if section.derive is None:
            return self._build(section, "student")
        import keras

        from tsd_keras import layer_graph, training
        from tsd_keras.derive import derive_student

        student = derive_student(
            self.model("teacher"),
            **section.derive.model_dump(),
            data=self._importance_data("teacher"),
            end="logits",
            name="student",
        )
        training.reproducible(self.config.seed)  # the teacher's size must not move the student's numbers
        preprocessing = training.preprocessing(self.config)
        if preprocessing is not None:
            inputs = keras.Input(self.data.x_train.shape[1:], name="input")
            nested = keras.Model(inputs, student(preprocessing(inputs)), name="student")
            student = layer_graph.build(layer_graph.read(nested))
        return student if with_teacher else keras.models.clone_model(student)

    def _distiller(self, student):
        from tsd_keras import training

        return training.distiller(self.answers.teacher(), student, self.answers.config, self.data)

    def _build(self, section, name):
        from tsd_keras import models

        shape, outputs = self.data.x_train.shape[1:], self.data.outputs
        return models.build(section.model, input_shape=shape, classes=outputs, name=name, **section.arguments)

    def _importance_data(self, name):
        """What a gradient's importance is measured on."""
        x, y = self.data.x_train, self.data.y_train
        if y is None or self.data.labels != "class":
            return self.as_input(name, x[:_IMPORTANCE_SAMPLES]), None
        labelled = (y >= 0).nonzero()[0][:_IMPORTANCE_SAMPLES]
        return self.as_input(name, x[labelled]), y[labelled]

    def _backup(self, name, number=1):
        """Where a training keeps its state. Named after the inputs: other ones do not go on there."""
        from tflite import files

        backup = self.workdir / ".backup" / f"{name}-{self.stages.fingerprint[:12]}-{number}"
        with files.explained(backup):
            backup.parent.mkdir(parents=True, exist_ok=True)
        return backup

    def model(self, name):
        """A trained model of the run; a teacher that was given comes from its file."""
        from tsd_keras import loading

        if name == "teacher" and self.config.teacher.path is not None:
            return loading.load_model(self.config.teacher.path)
        return loading.load_model(self.workdir / f"{self._trained_in(name)}.keras")

    def _trained_in(self, name) -> str:
        """The stage that a model's final weights are from."""
        forms = self.config.quantize.forms
        return forms[-1] if name == "student" and forms else name

    # -- conversion and evaluation ---------------------------------------------------------------

    def convert(self):
        """The models quantized, from one calibration sample of the training split."""
        command_line.heading(f"Conversion to {self.config.quantize.numbers}")
        resolved = self.config.resolved()
        settings = {key: resolved[key] for key in ("convert", "quantize")}
        for name in self.models:
            inputs = self._facts_here | self._made(self._trained_in(name)) | settings | {"model": name}
            self._stage(f"convert_{name}", inputs, [f"{name}.tflite"], lambda name=name: self._convert(name))
        if not self.config.quantize.look_up_tables:
            for name in (LOOK_UP_TABLES, "student.look_up.tflite"):
                (self.workdir / name).unlink(missing_ok=True)
        else:
            command_line.heading("Weights in look-up tables")
            inputs = self._facts | self._made("convert_student") | settings
            self._stage("look_up_tables", inputs, [LOOK_UP_TABLES], self._pack)

    def _pack(self):
        """The student once more, weights in tables where that saves bytes, and what it saves and costs."""
        from tflite import files
        from tflite.quantize import lookup

        samples = self.data.calibration(self.config.convert.calibration_samples, self.config.seed)
        packed = lookup.compress((self.workdir / "student.tflite").read_bytes(), samples)
        path = self.workdir / "student.look_up.tflite"
        if packed.packings:
            files.write_bytes(path, packed.model)
        else:
            path.unlink(missing_ok=True)
        sizes = ("bytes_before", "bytes_after", "arena_before", "arena_after")
        facts = {key: getattr(packed, key) for key in sizes} | {"tensors": len(packed.packings)}
        files.write_json(self.workdir / LOOK_UP_TABLES, facts)
        print(f"   {packed.explain()}")

    def look_up_tables(self) -> dict | None:
        """What tables of weights save and cost; `None` where none were asked for."""
        path = self.workdir / LOOK_UP_TABLES
        return json.loads(path.read_text()) if path.exists() else None

    def _convert(self, name):
        from tflite import convert, files, graph, operators

        model = self.model(name)
        samples = self.data.calibration(self.config.convert.calibration_samples, self.config.seed)
        settings = self.config.quantize.settings()
        ranges = self._trained_ranges(name)
        data = convert.convert(model, settings, self.as_input(name, samples), ranges)
        if name == "student":
            self._check_cost(model, data)
        operators.check(graph.read(data), [layer.name for layer in model.layers])
        files.write_bytes(self.workdir / f"{name}.tflite", data)
        print(f"   {name}.tflite: {len(data)} bytes")

    def _check_cost(self, student, data):
        """Stops the run where quantization costs the student too much; the test split is not touched."""
        from tflite import convert
        from tsd_keras import quantization

        section = self.config.quantize
        if section.mode == "float32":
            return
        quantization.cost(
            convert.convert(student, "float32"),
            data,
            self.data.x_train,
            self.data.targets("train"),
            [layer.name for layer in student.layers],
            section.largest_drop,
            section.allow_drop,
            labels=self.data.labels,
        )

    def as_input(self, name, samples):
        """Samples as a model receives them: the teacher may want others than the student."""
        if name != "teacher":
            return samples
        section = self.config.teacher.preprocess
        return samples * section.scale + section.offset

    def evaluate(self) -> dict:
        """Every model on all splits, in Keras and on the engines. Writes metrics.json and its tables."""
        from tsd_keras.evaluation import revision, stage

        command_line.heading("Evaluation")
        inputs = self._facts_here | {name: self._made(f"convert_{name}") for name in self.models}
        inputs["histories"] = [self._made(name) for name in self.models]
        inputs["look_up_tables"] = (
            self._made("look_up_tables") if self.config.quantize.look_up_tables else None
        )
        inputs["evaluation"] = revision.fingerprint()
        self._stage("evaluate", inputs, stage.outputs(self.data), lambda: stage.measure(self, self.models))
        return json.loads((self.workdir / "metrics.json").read_text())

    def report(self):
        """What was measured, as a page and as a model card."""
        from tsd_keras import report

        command_line.heading("Report")
        inputs = self._facts_here | self._made("evaluate") | {"config": self.config.resolved()}
        inputs["report"] = report.fingerprint()
        self._stage("report", inputs, ["report.html", "report.md"], lambda: report.write(self))

    # -- what is handed over ----------------------------------------------------------------------

    def write_firmware(self):
        """Projects for boards, with the distilled student."""
        command_line.heading("Firmware")
        from tflite.sensor import Preprocessing
        from tsd_keras import export

        section = self.config.firmware
        name = section.name
        data = (self.workdir / "student.tflite").read_bytes()
        inputs = self._facts_here | self._made("convert_student") | section.model_dump()

        def work():
            export.write(
                data,
                self.workdir / "export",
                name,
                self.data.x_test[:64],
                self.data.class_names if self.data.labels == "class" else (),
                micro=self.config.quantize.numbers == "int8",
                engine=section.engine,
                optimize=section.optimize,
                preprocessing=Preprocessing(self.data.scale, self.config.data.stride),
                reconstructs=self.data.labels == "anomaly",
            )

        self._stage("firmware", inputs, [f"export/{name}.tflite", "export/export.json"], work)

    def write_manifest(self):
        """The resolved config, seeds, versions and the SHA-256 of every artifact."""
        from tflite import files

        artifacts = sorted(
            path
            for path in self.workdir.rglob("*")
            if path.is_file()
            and path.name != "manifest.json"
            and not {".backup", "teacher_cache"} & set(path.relative_to(self.workdir).parts)
        )
        manifest = {
            "schema": 1,
            "config": self.config.resolved(),
            "seed": self.config.seed,
            "versions": versions(),
            "trained_with": {name: self.stages.versions(name) for name in self._trainings()},
            "data": {"sha256": self.data.fingerprint, "preprocessing": self.data.preprocessing},
            "teacher_answers": {
                "views": self.answers.plan.views,
                "bytes": self.answers.plan.nbytes,
                "statement": self.answers.plan.statement,
            },
            "calibration": {
                "samples": min(self.config.convert.calibration_samples, len(self.data.x_train)),
                "from": "training split, class-balanced",
                "seed": self.config.seed,
            },
            "sha256": {path.relative_to(self.workdir).as_posix(): files.sha256(path) for path in artifacts},
        }
        files.write_json(self.workdir / "manifest.json", manifest)

    def _trainings(self) -> list[str]:
        """The stages that trained models."""
        given = ["teacher"] if self.config.teacher.path is not None else []
        return [name for name in dict.fromkeys(map(self._trained_in, self.models)) if name not in given]

    def _stage(self, name, inputs, outputs, work):
        return self.stages.run(name, inputs, outputs, work)

    def _made(self, stage) -> dict:
        """What a stage's outputs were: inputs of the next."""
        return {"made": self.stages.outputs(stage)}
