-- A database of format 1, written by version 0.1.0: kept to see that later versions read it.
BEGIN;
CREATE TABLE facts(
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE owners(
  owner TEXT NOT NULL,
  resource TEXT NOT NULL,
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  PRIMARY KEY(owner, resource, namespace, name)
) WITHOUT ROWID;
CREATE TABLE revisions(
  number INTEGER PRIMARY KEY,
  resource TEXT NOT NULL,
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  deleted INTEGER NOT NULL,
  terminating INTEGER NOT NULL,
  previous INTEGER,
  superseded INTEGER,
  at INTEGER NOT NULL,
  data BLOB NOT NULL
);
CREATE INDEX dying
  ON revisions(resource) WHERE superseded IS NULL AND terminating = 1;
CREATE INDEX history
  ON revisions(resource, namespace, name, number);
CREATE UNIQUE INDEX live
  ON revisions(resource, namespace, name) WHERE superseded IS NULL;
CREATE INDEX owned ON owners(resource, namespace, name);
CREATE INDEX replaced
  ON revisions(superseded) WHERE superseded IS NOT NULL;
INSERT INTO revisions VALUES(1,'/namespaces','','default',0,0,NULL,NULL,1795642428,CAST('{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"default","uid":"ab4047c7-2cf1-4dd1-9117-00941b30d98c","creationTimestamp":"2026-11-25T21:33:48Z","labels":{"kubernetes.io/metadata.name":"default"},"resourceVersion":"1"},"spec":{"finalizers":["kubernetes"]},"status":{"phase":"Active"}}' AS BLOB));
INSERT INTO revisions VALUES(2,'/namespaces','','kube-system',0,0,NULL,NULL,1795642428,CAST('{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"kube-system","uid":"708b8923-491e-4d94-94ed-b084573bdbda","creationTimestamp":"2026-11-25T21:33:48Z","labels":{"kubernetes.io/metadata.name":"kube-system"},"resourceVersion":"2"},"spec":{"finalizers":["kubernetes"]},"status":{"phase":"Active"}}' AS BLOB));
INSERT INTO revisions VALUES(22,'apiextensions.k8s.io/customresourcedefinitions','','widgets.example.dev',0,0,NULL,NULL,1795642428,CAST('{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"widgets.example.dev","uid":"cca0e60a-6020-4370-8f9a-7998299530e6","creationTimestamp":"2026-11-25T21:33:48Z","generation":1,"finalizers":["customresourcecleanup.apiextensions.k8s.io"],"managedFields":[{"manager":"Python","operation":"Update","apiVersion":"apiextensions.k8s.io/v1","time":"2026-11-25T21:33:48Z","fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:finalizers":{".":{},"v:\"customresourcecleanup.apiextensions.k8s.io\"":{}}},"f:spec":{".":{},"f:conversion":{".":{},"f:strategy":{}},"f:group":{},"f:names":{".":{},"f:categories":{},"f:kind":{},"f:listKind":{},"f:plural":{},"f:shortNames":{},"f:singular":{}},"f:scope":{},"f:versions":{}}}}],"resourceVersion":"22"},"spec":{"group":"example.dev","scope":"Namespaced","names":{"plural":"widgets","singular":"widget","kind":"Widget","shortNames":["wg"],"categories":["gadgets"],"listKind":"WidgetList"},"versions":[{"name":"v1alpha1","served":true,"storage":true,"subresources":{"status":{},"scale":{"specReplicasPath":".spec.replicas","statusReplicasPath":".status.replicas"}},"additionalPrinterColumns":[{"name":"Size","type":"integer","jsonPath":".spec.size"},{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"},{"name":"Color","type":"string","jsonPath":".spec.color","priority":1}],"selectableFields":[{"jsonPath":".spec.color"}],"schema":{"openAPIV3Schema":{"type":"object","description":"A widget.","required":["spec"],"properties":{"spec":{"type":"object","description":"What is wanted.","required":["size"],"properties":{"size":{"type":"integer","minimum":1,"maximum":100,"description":"How big it is."},"color":{"type":"string","enum":["red","green"],"default":"red"},"replicas":{"type":"integer"},"tags":{"type":"array","items":{"type":"string"},"x-kubernetes-list-type":"set"}}},"status":{"type":"object","default":{"observedGeneration":-1},"properties":{"observedGeneration":{"type":"integer"},"replicas":{"type":"integer"},"phase":{"type":"string"},"conditions":{"type":"array","items":{"type":"object","required":["type","status"],"properties":{"type":{"type":"string"},"status":{"type":"string"},"observedGeneration":{"type":"integer"}}},"x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["type"]}}}}}}}],"conversion":{"strategy":"None"}},"status":{"conditions":[{"type":"NamesAccepted","lastTransitionTime":"2026-11-25T21:33:48Z","status":"True","reason":"NoConflicts","message":"no conflicts found"},{"type":"Established","lastTransitionTime":"2026-11-25T21:33:48Z","status":"True","reason":"InitialNamesAccepted","message":"the initial names have been accepted"}],"storedVersions":["v1alpha1"],"acceptedNames":{"plural":"widgets","singular":"widget","kind":"Widget","shortNames":["wg"],"categories":["gadgets"],"listKind":"WidgetList"}}}' AS BLOB));
INSERT INTO revisions VALUES(23,'example.dev/widgets','default','a',0,0,NULL,NULL,1795642428,CAST('{"apiVersion":"example.dev/v1alpha1","kind":"Widget","metadata":{"name":"a","labels":{"tier":"gold"},"namespace":"default","uid":"dca94221-0530-4af4-ba4f-e9e3aa9eba68","creationTimestamp":"2026-11-25T21:33:48Z","generation":1,"managedFields":[{"manager":"Python","operation":"Update","apiVersion":"example.dev/v1alpha1","time":"2026-11-25T21:33:48Z","fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:labels":{".":{},"f:tier":{}}},"f:spec":{".":{},"f:color":{},"f:size":{}}}}],"resourceVersion":"23"},"spec":{"size":1,"color":"red"},"status":{"observedGeneration":-1}}' AS BLOB));
INSERT INTO revisions VALUES(24,'example.dev/widgets','default','b',0,0,NULL,27,1795642428,CAST('{"apiVersion":"example.dev/v1alpha1","kind":"Widget","metadata":{"name":"b","ownerReferences":[{"apiVersion":"example.dev/v1alpha1","kind":"Widget","name":"a","uid":"dca94221-0530-4af4-ba4f-e9e3aa9eba68"}],"namespace":"default","uid":"bca0ffeb-7dc1-4b2f-8176-b6df81c5ca46","creationTimestamp":"2026-11-25T21:33:48Z","generation":1,"managedFields":[{"manager":"Python","operation":"Update","apiVersion":"example.dev/v1alpha1","time":"2026-11-25T21:33:48Z","fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:ownerReferences":{".":{},"k:{\"uid\":\"dca94221-0530-4af4-ba4f-e9e3aa9eba68\"}":{}}},"f:spec":{".":{},"f:color":{},"f:size":{}}}}],"resourceVersion":"24"},"spec":{"size":2,"color":"red"},"status":{"observedGeneration":-1}}' AS BLOB));
INSERT INTO revisions VALUES(25,'example.dev/widgets','default','gone',0,0,NULL,26,1795642428,CAST('{"apiVersion":"example.dev/v1alpha1","kind":"Widget","metadata":{"name":"gone","namespace":"default","uid":"101d37db-95ea-4fad-a6a5-a4bd265fe2d1","creationTimestamp":"2026-11-25T21:33:48Z","generation":1,"managedFields":[{"manager":"Python","operation":"Update","apiVersion":"example.dev/v1alpha1","time":"2026-11-25T21:33:48Z","fieldsType":"FieldsV1","fieldsV1":{"f:spec":{".":{},"f:color":{},"f:size":{}}}}],"resourceVersion":"25"},"spec":{"size":3,"color":"red"},"status":{"observedGeneration":-1}}' AS BLOB));
INSERT INTO revisions VALUES(26,'example.dev/widgets','default','gone',1,0,25,26,1795642428,CAST('{"apiVersion":"example.dev/v1alpha1","kind":"Widget","metadata":{"name":"gone","namespace":"default","uid":"101d37db-95ea-4fad-a6a5-a4bd265fe2d1","creationTimestamp":"2026-11-25T21:33:48Z","generation":1,"managedFields":[{"manager":"Python","operation":"Update","apiVersion":"example.dev/v1alpha1","time":"2026-11-25T21:33:48Z","fieldsType":"FieldsV1","fieldsV1":{"f:spec":{".":{},"f:color":{},"f:size":{}}}}],"resourceVersion":"26"},"spec":{"size":3,"color":"red"},"status":{"observedGeneration":-1}}' AS BLOB));
INSERT INTO revisions VALUES(27,'example.dev/widgets','default','b',0,0,24,NULL,1795642428,CAST('{"apiVersion":"example.dev/v1alpha1","kind":"Widget","metadata":{"name":"b","ownerReferences":[{"apiVersion":"example.dev/v1alpha1","kind":"Widget","name":"a","uid":"dca94221-0530-4af4-ba4f-e9e3aa9eba68"}],"namespace":"default","uid":"bca0ffeb-7dc1-4b2f-8176-b6df81c5ca46","creationTimestamp":"2026-11-25T21:33:48Z","generation":2,"resourceVersion":"27","managedFields":[{"manager":"Python","operation":"Update","apiVersion":"example.dev/v1alpha1","time":"2026-11-25T21:33:48Z","fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:ownerReferences":{".":{},"k:{\"uid\":\"dca94221-0530-4af4-ba4f-e9e3aa9eba68\"}":{}}},"f:spec":{".":{},"f:color":{},"f:size":{}}}}]},"spec":{"size":5,"color":"red"},"status":{"observedGeneration":-1}}' AS BLOB));
INSERT INTO revisions VALUES(28,'/configmaps','default','kept',0,0,NULL,NULL,1795642428,CAST('{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"kept","namespace":"default","uid":"c6d1ea58-78fd-4a4b-8c0f-56f2901ed738","creationTimestamp":"2026-11-25T21:33:48Z","managedFields":[{"manager":"Python","operation":"Update","apiVersion":"v1","time":"2026-11-25T21:33:48Z","fieldsType":"FieldsV1","fieldsV1":{"f:data":{".":{},"f:key":{}}}}],"resourceVersion":"28"},"data":{"key":"value"}}' AS BLOB));
INSERT INTO owners VALUES('dca94221-0530-4af4-ba4f-e9e3aa9eba68','example.dev/widgets','default','b');
INSERT INTO facts VALUES('format',1);
COMMIT;
